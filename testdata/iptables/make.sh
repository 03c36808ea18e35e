#!/bin/sh
# Lets the real iptables, in both variants, make Flannel's rules one by one as flanneld does (facts: its
# pkg/trafficmngr/iptables), with somebody else's rules around them, and keeps what iptables-save prints.
# *.restore is what podpath prints for the same state (the tests compare), read back by iptables-restore into *.restored.
# Recorded with iptables 1.8.9 on Linux 6.18; needs root. Usage: sh testdata/iptables/make.sh
set -eu
cd "$(dirname "$0")"
for variant in nft legacy; do
  unshare --net sh -eu -c '
    variant=$1
    flannel() { # program N P multicast
      t="$1-$variant" N=$2 P=$3 M=$4
      masq="-m comment --comment flanneld\ masq" fwd="-m comment --comment flanneld\ forward"
      rule() { eval "$t $*"; }
      rule -t nat -N KUBE-POSTROUTING
      rule -t nat -A POSTROUTING -m comment --comment "kubernetes\ \\\"x\\\"\ postrouting" -j KUBE-POSTROUTING
      rule -t nat -N FLANNEL-POSTRTG
      rule -t nat -A POSTROUTING $masq -j FLANNEL-POSTRTG
      rule -t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 $masq -j RETURN
      rule -t nat -A FLANNEL-POSTRTG -s $P -d $N $masq -j RETURN
      rule -t nat -A FLANNEL-POSTRTG -s $N -d $P $masq -j RETURN
      rule -t nat -A FLANNEL-POSTRTG ! -s $N -d $P $masq -j RETURN
      rule -t nat -A FLANNEL-POSTRTG -s $N ! -d $M $masq -j MASQUERADE --random-fully
      rule -t nat -A FLANNEL-POSTRTG ! -s $N -d $N $masq -j MASQUERADE --random-fully
      rule -P FORWARD DROP
      rule -A FORWARD -i lo -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT
      rule -N FLANNEL-FWD
      rule -A FORWARD $fwd -j FLANNEL-FWD
      rule -A FLANNEL-FWD -s $N $fwd -j ACCEPT
      rule -A FLANNEL-FWD -d $N $fwd -j ACCEPT
    }
    flannel iptables 10.5.0.0/16 10.5.67.0/24 224.0.0.0/4
    flannel ip6tables 2001:cafe:42::/56 2001:cafe:42:57::/64 ff00::/8
    iptables-$variant-save | sed "s/ on .*//" > $variant-v4.save
    ip6tables-$variant-save | sed "s/ on .*//" > $variant-v6.save
  ' sh "$variant"
  for family in 4 6; do
    test -f "v$family.restore" || continue
    program=iptables; test $family = 6 && program=ip6tables
    unshare --net sh -eu -c "$program-$variant-restore --noflush < v$family.restore; $program-$variant-save | sed 's/ on .*//' > $variant-v$family.restored"
  done
done
