#!/bin/sh
# A host of the cluster lab as a small machine of its own: name, network, processes, mounts and control groups
# apart from the rest, all gone with its first process.
#
#   machine.sh boot NAMESPACE DIRECTORY CGROUP   becomes the machine, until it is killed
#   machine.sh run DIRECTORY COMMAND...          becomes a program in it
#
# DIRECTORY/disk holds what the machine keeps: its /var/lib and /var/log, which start empty, and what is its own in /etc,
# /opt and /usr/local, which start as they are here, but for a resolv.conf that names no server.
set -eu
self=$(readlink -f "$0")

case $1 in
boot)
  namespace=$2 directory=$3 cgroup=$4
  rm -f "$directory/booted"
  echo $$ >"$directory/machine.pid"
  : >"$directory/hierarchies"
  while IFS=: read -r _ controllers _; do
    hierarchy=/sys/fs/cgroup/${controllers#name=}
    [ -f "$hierarchy/cgroup.procs" ] || continue # mounted elsewhere or nowhere: the machine does without it
    mkdir -p "$hierarchy/$cgroup"
    # Control groups of version 1 start with no processors and no memory.
    for file in cpuset.cpus cpuset.mems; do
      [ ! -f "$hierarchy/$file" ] || cat "$hierarchy/$file" >"$hierarchy/$cgroup/$file"
    done
    echo 0 >"$hierarchy/$cgroup/cgroup.procs"
    echo "$controllers" >>"$directory/hierarchies"
  done </proc/self/cgroup
  exec ip netns exec "$namespace" setpriv --pdeathsig KILL \
    unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --mount-proc \
    sh "$self" first-process "$directory"
  ;;

first-process)
  directory=$2
  disk=$directory/disk
  basename "$directory" >/proc/sys/kernel/hostname
  mkdir -p "$disk/var/lib" "$disk/var/log" "$disk/etc"
  : >>"$disk/etc/resolv.conf"
  for folder in etc opt usr/local; do
    mkdir -p "$disk/$folder" "$directory/work/$folder"
    mount -t overlay -o "lowerdir=/$folder,upperdir=$disk/$folder,workdir=$directory/work/$folder" overlay "/$folder"
  done
  mount -t tmpfs -o mode=755 tmpfs /run
  mount --bind "$disk/var/lib" /var/lib
  mount --bind "$disk/var/log" /var/log

  # Its control groups, of which the root is its own.
  if [ "$(cut -d: -f1 /proc/self/cgroup)" = 0 ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    # Controllers are for groups without processes: those of the machine itself get a group beside the pods'.
    mkdir /sys/fs/cgroup/machine
    echo 0 >/sys/fs/cgroup/machine/cgroup.procs
    for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
      echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
    done
  else
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while read -r controllers; do
      [ -n "$controllers" ] || continue # a hybrid's second tree, which has no controllers
      mkdir "/sys/fs/cgroup/${controllers#name=}"
      mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/${controllers#name=}"
    done <"$directory/hierarchies"
  fi

  # A kubelet sets these for the whole kernel unless they are as it wants them; here it sees them so.
  while read -r name value; do
    mkdir -p "$directory/sysctl/$(dirname "$name")"
    echo "$value" >"$directory/sysctl/$name"
    mount --bind "$directory/sysctl/$name" "/proc/sys/$name"
  done <<END
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END

  mount --make-rshared / # pods may ask for mounts that travel; beyond this machine there is no peer
  touch "$directory/booted"
  # Processes whose parent has ended become this one's: it collects them until the machine is killed.
  while :; do
    sleep 3600 &
    wait
  done
  ;;

run)
  directory=$2
  shift 2
  outside=$(cat "$directory/machine.pid")
  read -r first _ <"/proc/$outside/task/$outside/children" || [ -n "$first" ] # the line has no end
  exec nsenter --target "$first" --mount --net --pid --cgroup --uts --ipc --wdns=/ sh "$self" program "$@"
  ;;

program)
  shift
  if [ -d /sys/fs/cgroup/machine ]; then
    echo 0 >/sys/fs/cgroup/machine/cgroup.procs
  else
    for hierarchy in /sys/fs/cgroup/*/; do echo 0 >"$hierarchy/cgroup.procs"; done
  fi
  exec setpriv --pdeathsig KILL "$@"
  ;;
esac
