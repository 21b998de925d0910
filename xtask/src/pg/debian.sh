# Unpacks Debian 12's PostgreSQL 15 into DIRECTORY/tree and compiles pgvector into it, from the source package of the
# next Debian release: 12 has none. Nothing is installed, root is not needed, and apt checks every signature.
#
#     debian.sh DIRECTORY MIRROR SOURCES
#
# SOURCES is the file in which the machine's own apt found the mirror.
set -eu
directory=$1 mirror=$2 sources=$3
server=15
source_suite=trixie

cd "$directory"
mkdir -p lists/partial archives/partial apt/parts tree src
: >apt/sources.list
cp "$sources" apt/parts/
cat >apt/parts/source.sources <<END
Types: deb-src
URIs: $mirror
Suites: $source_suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END

apt() {
    apt-get -qq -o "Dir::Etc::sourcelist=$directory/apt/sources.list" -o "Dir::Etc::sourceparts=$directory/apt/parts" \
        -o "Dir::State::lists=$directory/lists" -o "Dir::Cache=$directory" -o Acquire::Languages=none \
        -o APT::Install-Recommends=0 -o APT::Sandbox::User= -o Debug::NoLocking=1 "$@"
}

apt update
# What this machine lacks, less what a private server never uses: packaging, scripts, the compiler of queries.
unused='postgresql-common|postgresql-client-common|ssl-cert|adduser|ucf|perl.*|libperl.*|netbase|sensible-utils'
unused="$unused|libjson-perl|readline-common|libgdbm.*|debconf.*|logrotate|cron.*|passwd|procps|psmisc|libllvm.*"
unused="$unused|libz3-4|locales|libc-l10n|openssl|libbsd0|libedit2"
lacking=$(apt -s install "postgresql-$server" | sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -vE "^($unused)\$" || :)
packages=$(printf '%s\n' $lacking "postgresql-$server" "postgresql-client-$server" "postgresql-server-dev-$server" \
    libpq5 | sort -u)
(cd archives && apt download $packages)
(cd src && apt source --download-only pgvector)
for package in archives/*.deb; do dpkg-deb -x "$package" tree; done
tar xzf src/pgvector_*.orig.tar.gz -C src
vector=$(echo src/pgvector-*/)
version=$(sed -n 's/^EXTVERSION = //p' "$vector/Makefile")

# The tree can be anywhere: pg_config answers with the place it is in now.
triplet=$(cc -print-multiarch)
LD_LIBRARY_PATH=$directory/tree/usr/lib/$triplet:$directory/tree/lib/$triplet
export LD_LIBRARY_PATH
config=tree/usr/lib/postgresql/$server/bin/pg_config
cc -O2 -fPIC -ftree-vectorize -fassociative-math -fno-signed-zeros -fno-trapping-math -fno-strict-aliasing -fwrapv \
    -D_GNU_SOURCE "-I$vector/src" "-I$("$config" --includedir-server)" "-I$("$config" --includedir)" \
    -shared -o "$("$config" --pkglibdir)/vector.so" "$vector"/src/*.c -lm
extension=$("$config" --sharedir)/extension
cp "$vector/vector.control" "$vector"/sql/vector--*--*.sql "$extension/"
cp "$vector/sql/vector.sql" "$extension/vector--$version.sql"

rm -rf lists archives apt src pkgcache.bin srcpkgcache.bin
printf '%s\n' "$triplet" >triplet
