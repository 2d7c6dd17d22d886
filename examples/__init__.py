"""Small programs that run: `make run` uses `demo`, the tests run all of them."""
