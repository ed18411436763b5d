#!/usr/bin/env bash
# Everything a bare Debian machine with Python 3.11 lacks, said aloud: system packages, uv, the locked environment.
# Safe to repeat; a second run finds everything there and takes a second or two.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

# A package is needed when the thing it brings is not there; asking for the thing also works where it came another way.
# mariadb-server-core: the server program alone, no service. The rest builds mysqlclient and runs the SQL Server ODBC driver.
missing=()
PATH="$PATH:/usr/sbin:/usr/local/sbin"
command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null || missing+=(mariadb-server-core)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v pkg-config >/dev/null || missing+=(pkg-config)
pkg-config --exists libmariadb 2>/dev/null || missing+=(libmariadb-dev)
for library in libssl.so.3:libssl3 libltdl.so.7:libltdl7 libkrb5.so.3:libkrb5-3 libgssapi_krb5.so.2:libgssapi-krb5-2; do
  ldconfig -p 2>/dev/null | grep -q "${library%%:*}" || missing+=("${library##*:}")
done
python=$(command -v python3.11 || command -v python3 || true)
if [ -z "$python" ]; then
  missing+=(python3 python3-dev python3-venv)
else
  "$python" -c 'import sys, sysconfig, pathlib; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || missing+=(python3-dev)
  command -v uv >/dev/null || [ -x .tools/bin/uv ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
fi

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing system packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    say "these system packages are missing: ${missing[*]}"
    say "install them (apt-get install -y ${missing[*]}), then run this again"
    exit 3
  fi
fi

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
  uv=.tools/bin/uv
  if [ ! -x "$uv" ]; then
    say "installing uv into .tools/"
    "$(command -v python3.11 || command -v python3)" -m venv .tools
    .tools/bin/pip install --quiet --disable-pip-version-check uv
  fi
fi

say "the locked environment, in .venv/"
UV_PYTHON_DOWNLOADS=never "$uv" sync --quiet --locked --all-extras --all-groups
say "ready: .venv/bin/membershift --help"
