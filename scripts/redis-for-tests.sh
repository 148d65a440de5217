#!/bin/sh
# The tests start their own redis-server on a free port. On Debian as root the package is installed when it is missing;
# elsewhere the tests that need it skip and say so.
set -eu
command -v redis-server >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing redis-server for the tests"
    export DEBIAN_FRONTEND=noninteractive
    (apt-get install -y -qq --no-install-recommends redis-server ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server; }) >/dev/null
else
    echo "redis-server is not installed; the tests that need it will be skipped"
fi
