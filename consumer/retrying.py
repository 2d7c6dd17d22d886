"""`RetryPolicy`: how often and when a failed event is tried again. PURE."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypedDict, Unpack, get_args

from common.duration import readable
from common.topology import tier_for
from consumer.failure import Failure
from consumer.outcome import Advice, Attempt
from consumer.retry_fields import (
    Types,
    age_of,
    attempts_of,
    delay_of,
    factor_of,
    refuse,
    refuse_what_cannot_decide,
    types_of,
)

Jitter = Literal["none", "equal", "full"]
JITTERS: tuple[Jitter, ...] = get_args(Jitter)
Decide = Callable[[Attempt, Failure], Advice]

LONGEST = 3600.0
ADDED_ONE_BY_ONE = 1000
"""Delays after which a policy's span takes all others for its longest."""
LISTED_IN_A_LINE = 6


class Options(TypedDict, total=False):
    """What every kind of policy takes besides its delays."""

    attempts: int
    jitter: Jitter
    max_age: float | None
    unrecoverable: Types
    for_errors: "Mapping[type[BaseException], RetryPolicy]"
    decide: Decide | None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a failed event is tried again; times in seconds.

    `attempts` is the total number of times a handler is started. The delay after the n-th failure
    is min(longest_delay, (first_delay + (n-1) * step) * factor^(n-1)), or the n-th of `listed`,
    whose last one repeats; spread by the jitter: `equal` keeps at least half of it, `full` any
    part, `none` all of it. `max_age` counts from the first failure: an event that fails when it is
    so old is not tried again. `exponential`, `linear` and `delays` say the same by name.

    `for_errors` gives the policy of some types of errors, `unrecoverable` the types after which
    there is no other try. `decide` is asked before the policy itself, which holds where it fails.
    """

    attempts: int = 10
    first_delay: float = 1.0
    factor: float = 4.0
    longest_delay: float = LONGEST
    jitter: Jitter = "equal"
    max_age: float | None = None
    unrecoverable: Types = ()
    step: float = 0.0
    listed: tuple[float, ...] = ()
    for_errors: "Mapping[type[BaseException], RetryPolicy]" = field(
        default_factory=dict, hash=False
    )
    decide: Decide | None = None

    @classmethod
    def exponential(
        cls,
        first: float | str = 1.0,
        factor: float = 4.0,
        longest: float | str | None = None,
        **options: Unpack[Options],
    ) -> "RetryPolicy":
        """Wait `first`, and after each failure `factor` times as long, up to `longest` (1 h)."""
        begin = delay_of("first", first)
        end = max(LONGEST, begin) if longest is None else delay_of("longest", longest)
        return cls(first_delay=begin, factor=factor, longest_delay=end, **options)

    @classmethod
    def linear(
        cls,
        first: float | str,
        step: float | str,
        longest: float | str | None = None,
        **options: Unpack[Options],
    ) -> "RetryPolicy":
        """Wait `first`, and after each failure `step` longer, up to `longest` (1 h)."""
        begin = delay_of("first", first)
        end = max(LONGEST, begin) if longest is None else delay_of("longest", longest)
        each = delay_of("step", step)
        return cls(first_delay=begin, factor=1.0, step=each, longest_delay=end, **options)

    @classmethod
    def delays(cls, *delays: float | str, **options: Unpack[Options]) -> "RetryPolicy":
        """Wait so long after the first failure, the second, …; the last one repeats."""
        if not delays:
            refuse("delays must be one or more: delays('1s', '10s', '1m')")
        return cls(listed=tuple(delay_of("delays", one) for one in delays), **options)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant. Raises ValueError naming the field."""
        attempts_of(self.attempts)
        for name in ("first_delay", "step", "longest_delay"):
            object.__setattr__(self, name, delay_of(name, getattr(self, name)))
        if self.longest_delay < self.first_delay:
            refuse("longest_delay must not be below first_delay")
        factor_of(self.factor)
        object.__setattr__(self, "listed", tuple(delay_of("listed", one) for one in self.listed))
        if self.jitter not in JITTERS:
            refuse(f"jitter must be none, equal or full, not {self.jitter!r}")
        object.__setattr__(self, "max_age", age_of(self.max_age))
        object.__setattr__(self, "unrecoverable", types_of("unrecoverable", self.unrecoverable))
        object.__setattr__(self, "for_errors", _policies(self.for_errors))
        refuse_what_cannot_decide(self.decide)

    def delay(self, failures: int, roll: float) -> float:
        """Seconds to wait after the n-th failure; `roll` in [0, 1) is where the dice fell."""
        full = self.wait(failures)
        match self.jitter:
            case "none":
                return full
            case "equal":
                return full / 2 + roll * full / 2
            case "full":
                return roll * full

    def wait(self, failures: int) -> float:
        """Seconds to wait after the n-th failure, before the jitter takes its part."""
        before = max(0, failures - 1)
        if self.listed:
            return self.listed[min(before, len(self.listed) - 1)]
        grown = self.first_delay + before * self.step
        try:
            return min(self.longest_delay, grown * self.factor**before)
        except OverflowError:  # it exceeds what a float holds
            return self.longest_delay if grown else 0.0

    def for_types(self, types: Types) -> "RetryPolicy":
        """Return the policy for errors of these types, those of a group in their order.

        The first of them that has one decides; of its classes in `for_errors` the nearest.
        """
        if self.for_errors:
            for kind in types:
                for one in kind.__mro__:
                    if one in self.for_errors:
                        return self.for_errors[one]
        return self

    def gives_up_on(self, types: Types) -> bool:
        """Whether one of these types, of whichever error in a group, is unrecoverable."""
        chosen = self.for_types(types)
        never = self.unrecoverable + chosen.unrecoverable
        return bool(never) and any(issubclass(kind, never) for kind in types)

    @property
    def most_attempts(self) -> int:
        """The attempts there can be, whatever is raised."""
        if not self.for_errors:  # each run whose handler takes a Context asks
            return self.attempts
        return max(one.attempts for one in self._all)

    @property
    def longest(self) -> float:
        """The longest delay this policy can ask for: which delay tiers it needs."""
        return max(one.longest_of_its_own for one in self._all)

    @property
    def span(self) -> float:
        """Seconds from the first failure to the last attempt, at most.

        A delay may last as long as its tier is. What handlers take, what an event waits in its
        queue, `Retry(after=…)`, snoozes and what a user's function asks for are not in it.
        """
        trying = [one for one in self._all if one.attempts > 1]
        if not trying:
            return 0.0
        delays = self.most_attempts - 1
        added = min(delays, ADDED_ONE_BY_ONE)
        total = float((delays - added) * tier_for(self.longest))
        for n in range(1, added + 1):
            total += max(tier_for(one.wait(n)) for one in trying if one.attempts > n)
        ages = [float("inf") if one.max_age is None else one.max_age for one in trying]
        return min(total, max(ages) + tier_for(self.longest))

    def __str__(self) -> str:
        parts = [self._own_words]
        if self.unrecoverable:
            parts.append(f"never again: {' '.join(one.__name__ for one in self.unrecoverable)}")
        parts += [f"{kind.__name__}: {policy}" for kind, policy in self.for_errors.items()]
        return "; ".join(parts)

    @property
    def _own_words(self) -> str:
        words = ["1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"]
        if self.attempts > 1:
            words += [self._delays_in_words, f"jitter {self.jitter}"]
            if self.max_age is not None:
                words.append(f"max_age {readable(self.max_age)}")
        if self.decide is not None:
            words.append(f"decide {getattr(self.decide, '__qualname__', type(self.decide))}")
        return ", ".join(words)

    @property
    def _delays_in_words(self) -> str:
        used = [readable(one) for one in self.listed[: self.attempts - 1]]
        if len(used) > LISTED_IN_A_LINE:
            used[3:-1] = ["…"]
        if used:
            return " ".join(used)
        first, last = readable(self.wait(1)), readable(self.longest_of_its_own)
        spread = first if first == last else f"{first}-{last}"
        steps = f" in steps of {readable(self.step)}" if self.step and first != last else ""
        return spread + steps

    @property
    def longest_of_its_own(self) -> float:
        """The longest delay, those of `for_errors` left out."""
        if self.attempts == 1:
            return 0.0
        return max(self.listed[: self.attempts - 1], default=self.wait(self.attempts - 1))

    @property
    def _all(self) -> tuple["RetryPolicy", ...]:
        return (self, *self.for_errors.values())


def _policies(
    found: "Mapping[type[BaseException], RetryPolicy]",
) -> "Mapping[type[BaseException], RetryPolicy]":
    if not isinstance(found, Mapping):
        refuse("for_errors must be a dict of types and policies")
    for kind, policy in zip(types_of("for_errors", tuple(found)), found.values(), strict=True):
        if not isinstance(policy, RetryPolicy):
            refuse(f"for_errors: {kind.__name__} must have a RetryPolicy")
        if policy.for_errors:
            refuse(f"for_errors: the policy of {kind.__name__} has for_errors itself")
    return MappingProxyType(dict(found))
