#!/bin/sh
# Runs one command of Bookmatch, as process 1, so that signals reach it.
set -eu
# Numba writes beside what it has compiled, and the image may be read-only: what was compiled with the image is copied to
# where it may be written. On a processor of another kind it compiles anew, there.
if [ -d /opt/bookmatch/compiled ] && [ -w "$NUMBA_CACHE_DIR" ]; then
    cp -R /opt/bookmatch/compiled/. "$NUMBA_CACHE_DIR"/
fi
[ -n "${SUCCESS_CODES:-}" ] || exec bookmatch "$@"
# What SuccessExitStatus= is to systemd: exit codes of this command that are no failures. Kubernetes knows none but 0.
trap '[ -z "${!:-}" ] || kill -TERM "$!"' TERM INT
bookmatch "$@" &
child=$!
code=0
wait "$child" || code=$?
# A signal ends the waiting, but not yet the command.
while kill -0 "$child" 2>/dev/null; do
    code=0
    wait "$child" || code=$?
done
case " $SUCCESS_CODES " in *" $code "*) code=0 ;; esac
exit "$code"
