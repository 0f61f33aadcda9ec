# machine.sh <empty folder>, in namespaces of its own: becomes the systemd of a machine whose disk is this one's, but what it
# writes is in memory and goes with it.
set -eu
lab=$1
mount -t tmpfs -o size=2g tmpfs "$lab"
mkdir "$lab/upper" "$lab/work" "$lab/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$lab/upper,workdir=$lab/work" "$lab/root"
cd "$lab/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm
for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0' 'net/tun 10 200'; do
  # shellcheck disable=SC2086 # three words
  set -- $node
  mknod -m 666 "dev/$1" c "$2" "$3"
done
: > dev/console
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mkdir -p etc/polkit-1/rules.d
rm -f etc/systemd/system/*.target.wants/* etc/resolv.conf
echo "nameserver 192.0.2.53" > etc/resolv.conf
ip link set lo up
export container=lab
exec chroot . /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=false
