# Unpacks Debian's pgbouncer, and what it needs that this machine lacks, into DIRECTORY/tree. Nothing is installed, root
# is not needed, and apt checks every signature.
#
#     pgbouncer.sh DIRECTORY SOURCES
#
# SOURCES is the file in which the machine's own apt found Debian's mirror.
set -eu
directory=$1 sources=$2

cd "$directory"
mkdir -p lists/partial archives/partial apt/parts tree
: >apt/sources.list
cp "$sources" apt/parts/

apt() {
    apt-get -qq -o "Dir::Etc::sourcelist=$directory/apt/sources.list" -o "Dir::Etc::sourceparts=$directory/apt/parts" \
        -o "Dir::State::lists=$directory/lists" -o "Dir::Cache=$directory" -o Acquire::Languages=none \
        -o APT::Install-Recommends=0 -o APT::Sandbox::User= -o Debug::NoLocking=1 "$@"
}

apt update
# Only libraries: the rest is for running it as a service.
lacking=$(apt -s install pgbouncer | sed -n 's/^Inst \(lib[^ ]*\).*/\1/p' | grep -vE '^lib(perl.*|json-perl|gdbm.*|pq5)$' || :)
(cd archives && apt download $(printf '%s\n' $lacking pgbouncer | sort -u))
for package in archives/*.deb; do dpkg-deb -x "$package" tree; done

rm -rf lists archives apt pkgcache.bin srcpkgcache.bin
