#!/usr/bin/env bash
# Everything a bare Debian machine with Python 3.11 lacks, said aloud: system packages, uv, the locked environment.
# Safe to repeat; a second run finds everything there, takes about a second and needs no network.
# With the word spark: also Java and PySpark (a download of 450 MB), which only deduplication on Spark needs.
set -euo pipefail
cd "$(dirname "$0")/.."
spark=${1:-}

say() { printf 'setup: %s\n' "$*"; }
has() { command -v "$1" >/dev/null; }

# Debian keeps daemons and ldconfig out of an ordinary user's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# A package is asked for when the thing it brings is not there: it may have come another way.
missing=() # the packages
reasons=() # and for the reader, what each group of them is for
need() {   # need REASON PACKAGE...
  reasons+=("$1: ${*:2}")
  missing+=("${@:2}")
}

python=$(command -v python3.11 || command -v python3 || true)
if [ -z "$python" ]; then
  need "Python" python3 python3-dev python3-venv
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  say "Python 3.11 or newer is needed, and $python is $("$python" -V 2>&1). Debian 12 and later bring it."
  exit 3
else
  "$python" -c 'import sys, sysconfig, pathlib; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' \
    || need "headers of Python, to build mysqlclient" python3-dev
  has uv || [ -x .tools/bin/uv ] || "$python" -c 'import ensurepip, venv' 2>/dev/null \
    || need "virtual environments, to install uv in one" python3-venv
fi

# The programs alone, no service: nothing is started, and nothing listens. my_print_defaults is used by mariadb-install-db.
has mariadbd && has mariadb-install-db || need "MariaDB's server program, for the sandbox and the tests" mariadb-server-core
has my_print_defaults || need "what sets up MariaDB's data folder" mariadb-client-core
{ has gcc && echo '#include <stdlib.h>' | gcc -E -x c - >/dev/null 2>&1; } || need "a C compiler, to build mysqlclient" gcc libc6-dev
has pkg-config || need "pkg-config, to build mysqlclient" pkg-config
{ has pkg-config && pkg-config --exists libmariadb; } || need "MariaDB's client library, for mysqlclient" libmariadb-dev
for library in libssl.so.3:libssl3 libltdl.so.7:libltdl7 libkrb5.so.3:libkrb5-3 libgssapi_krb5.so.2:libgssapi-krb5-2; do
  ldconfig -p | grep -F "${library%%:*}" >/dev/null || need "a library of the SQL Server driver" "${library##*:}"
done
[ "$spark" != spark ] || has java || [ -x "${JAVA_HOME:-}/bin/java" ] || need "Java, for Spark" default-jre-headless

if [ ${#missing[@]} -gt 0 ]; then
  say "this machine lacks"
  printf 'setup:   %s\n' "${reasons[@]}"
  if [ "$(id -u)" != 0 ] || ! has apt-get; then
    say "installing them takes root. As root (su, or sudo sh -c '...'), run this; then, as yourself, the same make command again:"
    say "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    exit 3
  fi
  say "installing them with apt-get; no service is started"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    say "apt-get failed; the whole log is $log"
    exit 3
  fi
  rm -f "$log"
  python=$(command -v python3.11 || command -v python3)
fi

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
  uv=.tools/bin/uv
  if [ ! -x "$uv" ]; then
    say "installing uv into .tools/"
    "$python" -m venv --clear .tools
    .tools/bin/pip install --quiet --disable-pip-version-check uv
  fi
fi

export UV_PYTHON_DOWNLOADS=never
if [ ! -x .venv/bin/membershift ]; then
  say "downloading the locked packages into .venv/ (about 300 MB; a minute or less on a good line)"
  export UV_PYTHON="$python"
fi
# Compiled once here: else every start compiles what it imports (a second) wherever Python may not write bytecode.
# PySpark stays where it was asked for once.
extras=(--all-extras)
[ "$spark" = spark ] || compgen -G ".venv/lib/python*/site-packages/pyspark" >/dev/null || extras+=(--no-extra spark)
"$uv" sync --quiet --locked "${extras[@]}" --all-groups --compile-bytecode
say "ready: .venv/bin/membershift --help"
