#!/bin/sh
# `make test-unstable`: the wrapper's tests on the Pythons of Debian unstable, which stable has not. They are in a chroot,
# so that the machine's own packages stay as they are. Needs root and debootstrap.
set -eu
cd "$(dirname "$0")/.."
tests=${1:-wrapper/tests}
root=$PWD/.unstable
if [ ! -e "$root/ready" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase --include=python3.14,python3.14-venv,python3.15,python3.15-venv,ca-certificates \
        unstable "$root"
    touch "$root/ready"
fi
leave() {
    for mounted in dev/pts dev proc; do umount "$root/$mounted" 2> /dev/null || true; done
}
trap leave EXIT
for wanted in proc dev dev/pts; do mount --bind "/$wanted" "$root/$wanted"; done
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
rm -rf "$root/src"
git clone --quiet . "$root/src"
for version in 3.14 3.15; do
    chroot "$root" env -i PATH=/usr/bin:/bin:/usr/sbin HOME=/root LANG=C.UTF-8 \
        PIP_CERT=/etc/ssl/certs/ca-certificates.crt sh -eu -c "
        cd /src
        python$version -m venv /venv-$version
        /venv-$version/bin/pip install --quiet --upgrade '.[cli,redis,postgres]' --group tests
        /venv-$version/bin/python -m pytest -n 2 --dist worksteal -p no:cacheprovider --randomly-seed=1 \
            --ignore wrapper/tests/testing/test_installed.py $tests"
done
