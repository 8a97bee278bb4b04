#!/bin/bash
# tests/run: release
# deploy/bootstrap: what it says and does where packages or Go are missing,
# with stand-ins for dpkg-query, apt-get, id and go on a PATH of their own.
set -u
cd "$(dirname "$0")/../.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
count=0

check() # WHAT CONDITION...
{
	local what=$1
	shift
	count=$((count + 1))
	if "$@"; then
		echo "ok $count - $what"
	else
		echo "not ok $count - $what"
		sed 's/^/# /' "$scratch/said"
	fi
}

stand_in() # NAME, script on stdin
{
	{ echo '#!/bin/sh'; cat; } >"$scratch/bin/$1"
	chmod +x "$scratch/bin/$1"
}

fresh_path()
{
	rm -rf "$scratch/bin"
	mkdir "$scratch/bin"
	for tool in sh dirname sed sort head mktemp cat rm; do
		ln -s "$(command -v $tool)" "$scratch/bin/$tool"
	done
	echo 'exit 1' | stand_in dpkg-query
	echo 'echo 0' | stand_in id
}

bootstrap()
{
	PATH=$scratch/bin deploy/bootstrap "$@" >"$scratch/said" 2>&1
	status=$?
	lines=$(wc -l <"$scratch/said")
}
said() { grep -q -- "$1" "$scratch/said"; }
said_not() { ! said "$1"; }
is() { [ "$1" = "$2" ]; }

fresh_path
echo 'echo installed' | stand_in dpkg-query
bootstrap build
check "all there: status 0" is "$status" 0
check "all there: says nothing" is "$lines" 0

fresh_path
bootstrap build
check "no apt-get: status 1" is "$status" 1
check "no apt-get: one line" is "$lines" 1
check "no apt-get: names the packages" said "apt-get.*libevent-dev.*libsodium-dev"

fresh_path
echo 'echo 1000' | stand_in id
echo 'exit 1' | stand_in apt-get
bootstrap build
check "not root: status 1" is "$status" 1
check "not root: one line" is "$lines" 1
check "not root: names the packages" said "root.*apt-get install gcc.*libjansson-dev"

fresh_path
stand_in apt-get <<TEXT
echo "\$DEBIAN_FRONTEND: \$*" >>$scratch/asked
echo chatter
TEXT
stand_in dpkg-query <<'TEXT'
for last; do :; done
case $last in libevent-dev|libjansson-dev) exit 1;; esac
echo installed
TEXT
bootstrap build
check "some missing: status 0" is "$status" 0
check "some missing: one line" is "$lines" 1
check "some missing: says which" said "installing.*: libevent-dev libjansson-dev$"
cp "$scratch/asked" "$scratch/said"
check "it updates the lists" said "noninteractive: .*update"
check "it asks nothing and installs just these" \
	said "noninteractive: .*-y.* install .*recommends libevent-dev libjansson-dev$"

fresh_path
echo "echo \"apt-get \$*\" >>$scratch/asked" | stand_in apt-get
echo "echo \"systemctl \$*\" >>$scratch/asked" | stand_in systemctl
echo 'echo go1.26.6' | stand_in go
stand_in dpkg-query <<'TEXT'
for last; do :; done
[ $last = coturn ] || echo installed
TEXT
rm -f "$scratch/asked"
bootstrap test
check "coturn is missing: status 0" is "$status" 0
check "coturn is missing: its server is masked before it is installed" \
	is "$(sed -n 's/^systemctl //p;s/^apt-get .* install .*coturn$/install/p' \
		"$scratch/asked" | tr '\n' ' ')" "mask coturn.service install "

fresh_path
stand_in apt-get <<'TEXT'
echo "E: no such mirror"; exit 100
TEXT
bootstrap build
check "apt-get fails: status 1" is "$status" 1
check "apt-get fails: shows what apt-get said" said "no such mirror"

fresh_path
echo 'echo installed' | stand_in dpkg-query
echo 'echo go1.26.6' | stand_in go
for purpose in test bench dev; do
	bootstrap $purpose
	check "$purpose, all there: status 0" is "$status" 0
	check "$purpose, all there: says nothing" is "$lines" 0
done

for version in go1.26.6 go1.26.10 go1.27.0 'go1.27rc1 X:nodwarf5'; do
	echo "echo '$version'" | stand_in go
	bootstrap go
	check "$version is new enough" said "^$scratch/bin/go$"
done
for version in go1.26.5 go1.9.9 go1.19.8 go1.26 'devel +abc'; do
	echo "echo '$version'" | stand_in go
	bootstrap go
	check "$version is not taken" said_not "^$scratch/bin/go$"
done

fresh_path
bootstrap nonsense
check "an unknown word: status 2" is "$status" 2

echo "1..$count"
