#!/bin/sh
# Runs one command of Bookmatch, as process 1, so that signals reach it.
set -eu
# Numba writes beside what it has compiled, and the image may be read-only: what was compiled with the image is copied to
# where it may be written. On a processor of another kind it compiles anew, there.
if [ -d /opt/bookmatch/compiled ] && [ -w "$NUMBA_CACHE_DIR" ]; then
    cp -R /opt/bookmatch/compiled/. "$NUMBA_CACHE_DIR"/
fi
exec bookmatch "$@"
