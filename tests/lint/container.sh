#!/usr/bin/env bash
# tests/lint/container.sh: checks slurm/rookery.def, which no test builds, and itself on definitions with one fault each.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
definition=slurm/rookery.def
order=(arguments files post test environment runscript labels help) # as Apptainer goes through them

section() { awk -v name="%$1" '/^%/ { inside = $1 == name; next } inside' <<<"$text"; } # section NAME: its lines
complain() { complaints+=("$*"); }

header() {
  local keys
  keys=$(awk '/^%/ { exit } NF { print $1 }' <<<"$text" | paste -sd' ')
  [ "$keys" = "Bootstrap: From:" ] || complain "the header has '$keys' and not Bootstrap: and From:"
  grep -qx 'Bootstrap: docker' <<<"$text" || complain "Bootstrap is not docker"
}

sections() {
  local found wanted
  found=$(sed -n 's/^%\([^ ]*\).*/\1/p' <<<"$text" | paste -sd' ')
  wanted=${order[*]}
  [ "$found" = "$wanted" ] || complain "the sections are '$found' and not '$wanted'"
}

# Every {{ name }} has a default, and every default is used; its image is one that launch/setup knows.
arguments() {
  local used given
  used=$(grep -o '{{ *[a-z_]* *}}' <<<"$text" | tr -d '{} ' | sort -u)
  given=$(section arguments | sed -n 's/^ *\([a-z_]*\)=.*/\1/p' | sort)
  [ "$used" = "$given" ] || complain "used are the arguments '$used', given are '$given'"
  section arguments | grep -qE '^ *base=(debian:12|ubuntu:24.04|nvidia/cuda:13[0-9.]*-devel-ubuntu24.04)$' ||
    complain "the base image is neither Debian 12 nor Ubuntu 24.04"
}

# What is copied is there, lies in the image as here, and is all that the build asks for.
files() {
  local from to more part
  while read -r from to more; do
    [ -n "$from" ] || continue
    [ -e "$from" ] || complain "%files: there is no $from"
    [ -z "$more" ] && [ "$to" = "/opt/rookery/$from" ] || complain "%files: $from goes to '$to $more' and not to /opt/rookery/$from"
  done < <(section files)
  for part in CMakeLists.txt CMakePresets.json $(sed -n 's/^add_subdirectory(\([a-z]*\).*/\1/p' CMakeLists.txt | sort -u); do
    section files | grep -q "^ *$part " || complain "%files: the build needs $part"
  done
}

# Shell that parses; launch/setup takes its words; test and runscript start the program where launch/setup puts it.
scripts() {
  local name word
  for name in post test environment runscript; do
    section $name | sh -n 2>/dev/null || complain "%$name is no shell script"
    section $name | grep -q '[^ ]' || complain "%$name is empty"
  done
  section post | grep -q '^ *\./launch/setup ' || complain "%post does not build with launch/setup"
  for word in $(section post | sed -n 's/^ *\.\/launch\/setup //p'); do
    ./launch/setup --help | grep -q -e "\[$word\]" || complain "launch/setup has no $word"
  done
  for name in test runscript; do
    section $name | grep -q '/opt/rookery/build/dist/bin/rookery ' || complain "%$name does not start the program of build/dist"
  done
  section runscript | grep -q 'exec .* "\$@"$' || complain '%runscript does not hand on its words as "$@"'
}

lint() { # lint TEXT: fills complaints
  text=$1
  complaints=()
  header
  sections
  arguments
  files
  scripts
}

lint "$(cat $definition)"
for complaint in "${complaints[@]}"; do echo "$definition: $complaint"; done
failures=${#complaints[@]}

faults=('s/^Bootstrap: docker/Bootstrap: dockr/' '/^From/d' 's/^%post/%psot/' '/^%help/d' 's/{{ base }}/{{ bas }}/' 's/base=.*/base=fedora:40/'
  '/ kernels /d' 's/ comm / com /' 's/setup --portable/setup --portabel/' 's/build\/dist/build\/release/' 's/"\$@"/$*/' 's/rm -rf/if rm -rf/')
for fault in "${faults[@]}"; do
  lint "$(sed "$fault" $definition)"
  if [ ${#complaints[@]} = 0 ]; then
    echo "nothing is said against the definition after sed '$fault'"
    failures=$((failures + 1))
  fi
done
[ "$failures" = 0 ] && echo "$definition is in order"
