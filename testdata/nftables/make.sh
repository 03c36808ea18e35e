#!/bin/sh
# Lets the real nft read each *.nft in a network namespace of its own, and keeps what it lists, as text and as JSON.
# masquerade.nft and gateway.nft are what podpath prints (the tests compare), foreign.nft is written by hand.
# Recorded with nftables 1.0.6 on Linux 6.18; needs root. Usage: sh testdata/nftables/make.sh
set -eu
cd "$(dirname "$0")"
for file in *.nft; do
  name="${file%.nft}"
  unshare --net sh -c "nft --file $file && nft --stateless list ruleset > $name.list && nft --json list ruleset > $name.json"
done
