/* C with librabbitmq: the limit that a client can come near to.

Settings: quorum queue, prefetch 100, a `basic.ack` for each event; persistent messages, publisher
confirms. It does not decode JSON (for the latency it looks for the time in the body), allocates
little, and does nothing that a library for applications must do. It has no retry.
*/

#define _GNU_SOURCE /* memmem */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define QUEUE "bench-c"
#define MARKER "be9c4000-0000-4000-8000-feedfeedfeed"
#define BODY_BYTES 400
#define NOT_SENT 1000000000000000000LL
#define WARM_UP 100

static amqp_connection_state_t connection;

static void check(int wrong, const char *what) {
  if (wrong) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
  }
}

static void check_reply(const char *what) {
  check(amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL, what);
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static long long nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double cpu_seconds(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
         (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Not ru_maxrss: a new process inherits it from the one that starts it. */
static double memory_mib(void) {
  char line[200];
  long kib = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
  if (status) fclose(status);
  return kib / 1024.0;
}

static void open_channel(void) {
  char *uri = strdup(getenv("AMQP_URI"));
  struct amqp_connection_info to;
  check(amqp_parse_url(uri, &to) != AMQP_STATUS_OK, "reading AMQP_URI");
  const char *vhost = to.vhost == NULL || *to.vhost == 0 ? "/" : to.vhost;
  connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  check(amqp_socket_open(socket, to.host, to.port), "connecting");
  amqp_rpc_reply_t reply = amqp_login(connection, vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN,
                                      to.user, to.password);
  check(reply.reply_type != AMQP_RESPONSE_NORMAL, "logging in");
  amqp_channel_open(connection, 1);
  check_reply("opening a channel");
  amqp_table_entry_t quorum = {.key = amqp_cstring_bytes("x-queue-type"),
                               .value = {.kind = AMQP_FIELD_KIND_UTF8}};
  quorum.value.value.bytes = amqp_cstring_bytes("quorum");
  amqp_table_t arguments = {1, &quorum};
  amqp_queue_declare(connection, 1, amqp_cstring_bytes(QUEUE), 0, 1, 0, 0, arguments);
  check_reply("declaring the queue");
}

static void publish(const char *id, long long sent) {
  char body[BODY_BYTES + 1];
  int length = snprintf(body, sizeof body,
                        "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"benchmark\","
                        "\"type\":\"benchmark.event\",\"time\":\"2026-01-01T00:00:00.000000Z\","
                        "\"datacontenttype\":\"application/json\","
                        "\"data\":{\"order\":7,\"sent\":%lld,\"text\":\"",
                        id, sent);
  memset(body + length, 'x', BODY_BYTES - length - 3);
  memcpy(body + BODY_BYTES - 3, "\"}}", 3);
  amqp_basic_properties_t properties = {
      ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                AMQP_BASIC_MESSAGE_ID_FLAG,
      .content_type = amqp_cstring_bytes("application/cloudevents+json"),
      .delivery_mode = 2,
      .message_id = amqp_cstring_bytes(id)};
  amqp_bytes_t bytes = {BODY_BYTES, body};
  check(amqp_basic_publish(connection, 1, amqp_empty_bytes, amqp_cstring_bytes(QUEUE), 0, 0,
                           &properties, bytes),
        "publishing");
}

static void publish_numbered(long number, long long sent) {
  char id[40];
  snprintf(id, sizeof id, "be9c4000-0000-4000-8000-%012ld", number);
  publish(id, sent);
}

/* Wait for a confirm, and return its tag. One queue confirms in order, so it stands for all before. */
static unsigned long long wait_for_confirm(void) {
  amqp_frame_t frame;
  amqp_maybe_release_buffers(connection);
  check(amqp_simple_wait_frame(connection, &frame), "waiting for a confirm");
  check(frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD,
        "waiting for a confirm");
  amqp_basic_ack_t *ack = frame.payload.method.decoded;
  return ack->delivery_tag;
}

static void confirms(void) {
  amqp_confirm_select(connection, 1);
  check_reply("asking for confirms");
}

static void publish_many(long events, int window) {
  confirms();
  double wall = seconds(CLOCK_MONOTONIC), cpu = cpu_seconds();
  unsigned long long sent = 0, confirmed = 0, total = events;
  while (confirmed < total) {
    while (sent < total && sent - confirmed < (unsigned long long)window)
      publish_numbered(++sent, NOT_SENT);
    unsigned long long tag = wait_for_confirm();
    if (tag > confirmed) confirmed = tag;
  }
  cpu = cpu_seconds() - cpu, wall = seconds(CLOCK_MONOTONIC) - wall;
  printf("{\"bench\": \"done\", \"cpu_us\": %f, \"per_second\": %f}\n", cpu / events * 1e6,
         events / wall);
}

/* Read the confirms that are there, or wait until all are. */
static void read_confirms(unsigned long long *confirmed, unsigned long long sent, int wait) {
  struct timeval now = {0, 0};
  while (*confirmed < sent) {
    amqp_frame_t frame;
    amqp_maybe_release_buffers(connection);
    int status = amqp_simple_wait_frame_noblock(connection, &frame, wait ? NULL : &now);
    if (status == AMQP_STATUS_TIMEOUT) return;
    check(status != AMQP_STATUS_OK || frame.frame_type != AMQP_FRAME_METHOD ||
              frame.payload.method.id != AMQP_BASIC_ACK_METHOD,
          "waiting for a confirm");
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    if (ack->delivery_tag > *confirmed) *confirmed = ack->delivery_tag;
  }
}

static void send_at(long events, double rate) {
  unsigned long long confirmed = 0;
  confirms();
  double began = seconds(CLOCK_MONOTONIC);
  for (long number = 0; number < WARM_UP + events; number++) {
    double wait = began + number / rate - seconds(CLOCK_MONOTONIC);
    if (wait > 0) usleep(wait * 1e6);
    publish_numbered(number, number < WARM_UP ? NOT_SENT : nanoseconds());
    read_confirms(&confirmed, number + 1, 0);
  }
  printf("{\"bench\": \"sent\", \"per_second\": %f}\n",
         (WARM_UP + events) / (seconds(CLOCK_MONOTONIC) - began));
  fflush(stdout);
  read_confirms(&confirmed, WARM_UP + events, 1);
}

static int by_size(const void *one, const void *other) {
  long long a = *(const long long *)one, b = *(const long long *)other;
  return (a > b) - (a < b);
}

/* Handle that many events, or until `until` seconds are over; with `times`, take their latency. */
static void consume(long events, double until, long long *times) {
  amqp_basic_qos(connection, 1, 0, 100, 0);
  check_reply("setting the prefetch");
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(QUEUE), amqp_empty_bytes, 0, 0, 0,
                     amqp_empty_table);
  check_reply("subscribing");
  double wall = 0, cpu = 0;
  long handled = 0, taken = 0;
  while (times ? taken < events : handled < events) {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(connection);
    struct timeval patience = {0, 100000};
    amqp_rpc_reply_t reply = amqp_consume_message(connection, &envelope, until > 0 ? &patience : NULL, 0);
    if (until > 0 && seconds(CLOCK_MONOTONIC) - wall > until && handled) break;
    if (reply.library_error == AMQP_STATUS_TIMEOUT) continue; /* the queue is empty */
    check(reply.reply_type != AMQP_RESPONSE_NORMAL, "consuming");
    if (++handled == 1) {
      printf("{\"bench\": \"first\", \"ns\": %lld}\n", nanoseconds());
      fflush(stdout);
      wall = seconds(CLOCK_MONOTONIC), cpu = cpu_seconds();
    }
    if (times) {
      /* A body is no string: it ends without a zero. */
      char *found = memmem(envelope.message.body.bytes, envelope.message.body.len, "\"sent\":", 7);
      long long sent = found ? strtoll(found + 7, NULL, 10) : NOT_SENT;
      if (sent != NOT_SENT) times[taken++] = nanoseconds() - sent;
    }
    check(amqp_basic_ack(connection, 1, envelope.delivery_tag, 0), "acking");
    amqp_destroy_envelope(&envelope);
  }
  wall = seconds(CLOCK_MONOTONIC) - wall, cpu = cpu_seconds() - cpu;
  if (times) {
    qsort(times, taken, sizeof *times, by_size);
    printf("{\"bench\": \"done\", \"p50_ms\": %f, \"p99_ms\": %f}\n", times[taken / 2] / 1e6,
           times[taken * 99 / 100] / 1e6);
  } else if (until > 0) {
    printf("{\"bench\": \"done\", \"peak_mib\": %f, \"grown_mib\": 0, \"handled\": %ld}\n",
           memory_mib(), handled);
  } else {
    printf("{\"bench\": \"done\", \"cpu_us\": %f, \"per_second\": %f}\n", cpu / events * 1e6,
           events / wall);
  }
  fflush(stdout);
  usleep(300000); /* the acks are on their way */
}

int main(int count, char **arguments) {
  alarm(900); /* ends by itself, even when who started it is gone */
  const char *command = count > 1 ? arguments[1] : "";
  if (strcmp(command, "version") == 0) return puts(amqp_version()) < 0;
  open_channel();
  if (strcmp(command, "seed") == 0) {
    confirms();
    publish(MARKER, NOT_SENT);
    wait_for_confirm();
  } else if (strcmp(command, "consume") == 0 && count == 4) {
    long events = atol(arguments[3]);
    int latency = strcmp(arguments[2], "latency") == 0;
    consume(events, 0, latency ? calloc(events, sizeof(long long)) : NULL);
  } else if (strcmp(command, "work") == 0 && count == 3) {
    consume(1L << 60, atof(arguments[2]), NULL);
  } else if (strcmp(command, "publish") == 0 && count == 5) {
    publish_many(atol(arguments[2]), atoi(arguments[4]));
  } else if (strcmp(command, "send") == 0 && count == 5) {
    send_at(atol(arguments[2]), atof(arguments[4]));
  } else {
    fprintf(stderr, "usage: see benchmarks/peers/contestant.py\n");
    return 2;
  }
  return 0;
}
