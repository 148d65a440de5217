#!/bin/sh
# Pages are looked at by a real Chromium. On Debian as root the package is installed when it is missing; elsewhere the
# tests that need it skip and say so.
set -eu
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing chromium for the tests"
    export DEBIAN_FRONTEND=noninteractive
    (apt-get install -y -qq --no-install-recommends chromium ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }) >/dev/null ||
        echo "chromium cannot be installed; the tests that need it will be skipped"
else
    echo "chromium is not installed; the tests that need it will be skipped"
fi
