#!/usr/bin/env bash
# Makes sure that the browser tests find a Chromium: installs Debian's where that is possible, else says how to get one.
set -u
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
[ -n "${MEAN_OPINION_CHROMIUM:-}" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "No Chromium found; installing Debian's for the browser tests."
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; } \
    </dev/null && exit 0
fi
echo "No Chromium found, so the browser tests will be skipped. Install one (Debian: apt-get install chromium), or set" \
  "MEAN_OPINION_CHROMIUM to its path."
exit 0
