#!/usr/bin/env bash
# Installs what the sandbox needs of the system: bubblewrap (its namespace tier) and libseccomp (both tiers).
# With --octave also GNU Octave, the second target language: some 120 packages, so not without being asked.
# With --browser also Chromium, for `make test-servers`.
# With --infra also what `make test-infra` runs: Node.js (AWS CDK) and PostgreSQL.
# With --swift also what `make test-servers` builds and runs: OpenStack Swift as an S3 server.
# Without the right to install, it says so and goes on: the sandbox then runs in its Landlock tier, and
# records that with every result; without Octave it rejects Octave's programs.
set -euo pipefail

with_octave=false
with_infra=false
with_browser=false
with_swift=false
for argument in "$@"; do
  case "$argument" in
    --octave) with_octave=true ;;
    --infra) with_infra=true ;;
    --browser) with_browser=true ;;
    --swift) with_swift=true ;;
    *) echo "usage: $0 [--octave] [--infra] [--browser] [--swift]" >&2; exit 2 ;;
  esac
done

missing=()
command -v bwrap >/dev/null || missing+=(bubblewrap)
ldconfig -p 2>/dev/null | grep -q 'libseccomp\.so\.2' || missing+=(libseccomp2)
if $with_octave && ! command -v octave-cli >/dev/null; then missing+=(octave); fi
if $with_infra; then
  command -v node >/dev/null || missing+=(nodejs)
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
fi
if $with_browser && ! command -v chromium >/dev/null; then missing+=(chromium); fi
if $with_swift; then
  command -v gcc >/dev/null || missing+=(gcc)
  [ -e /usr/include/liberasurecode/erasurecode.h ] || missing+=(liberasurecode-dev)
  command -v memcached >/dev/null || missing+=(memcached)
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "please install with your package manager: ${missing[*]}" >&2
  exit 0
fi
root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "no right to install ${missing[*]}: sudo apt-get install ${missing[*]}" >&2
    exit 0
  fi
  root=(sudo -n)
fi
install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}")
"${install[@]}" >/dev/null || { "${root[@]}" apt-get update -qq && "${install[@]}" >/dev/null; }
