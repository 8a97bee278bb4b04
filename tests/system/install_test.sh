#!/bin/bash
# tests/run: release
# make install: what it puts where, and that the programs, the manual pages
# and the completion work there.
set -u
cd "$(dirname "$0")/../.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset MAKEFLAGS MAKELEVEL VARIANT
root="$scratch/a root"
count=0

check() # WHAT CONDITION...
{
	local what=$1
	shift
	count=$((count + 1))
	if "$@" 2>>"$scratch/said"; then
		echo "ok $count - $what"
	else
		echo "not ok $count - $what"
		sed 's/^/# /' "$scratch/said"
	fi
	: >"$scratch/said"
}

is() { [ "$1" = "$2" ] || { echo "got $1, want $2" >&2; false; }; }

make install DESTDIR="$root" PREFIX=/opt/campus >"$scratch/said" 2>&1
check "make install: status 0" is $? 0
where="$root/opt/campus"
share=$where/share
check "nothing lies outside of PREFIX" \
	is "$(cd "$root" && find . -type f ! -path './opt/campus/*')" ""
check "the programs, with names of their own" is "$(ls -m -w 0 "$where/sbin")" \
	"campusnet-coordctl, campusnet-coordd, campusnet-natprobe, campusnet-relayd, campusnet-stund"
for name in relayd stund coordd coordctl natprobe; do
	version=$("$where/sbin/campusnet-$name" --version)
	check "$name runs and knows its version" \
		is "${version#"$name "}" "$(cat build/release/version)"
	page=$share/man/man8/campusnet-$name.8
	check "$name: the manual page" grep -q "^\.Nm $name" "$page"
	check "$name: all may read and run it" is \
		"$(stat -c %a "$where/sbin/campusnet-$name" "$page" | paste -s)" \
		"755	644"
done

completed() # WORD... : what bash proposes for the last word
{
	PATH="$where/sbin:$PATH" bash -c '
		. "$1" || exit
		shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		complete -p "$1" >/dev/null && _coordctl
		echo "${COMPREPLY[*]}"' - \
		"$share/bash-completion/completions/campusnet-coordctl" "$@"
}
check "bash completes commands" \
	is "$(completed campusnet-coordctl preauthkeys cr)" create
check "zsh's completion is for both names" \
	is "$(head -n 1 "$share/zsh/site-functions/_campusnet-coordctl")" \
	"#compdef coordctl campusnet-coordctl"
check "fish's completion is there" grep -q campusnet-coordctl \
	"$share/fish/vendor_completions.d/campusnet-coordctl.fish"

"$where/sbin/campusnet-coordctl" verify "$scratch/none" >"$scratch/said" 2>&1
check "coordctl finds the coordd that lies beside it" \
	grep -q '^coordd: .*/none: ' "$scratch/said"

echo "1..$count"
