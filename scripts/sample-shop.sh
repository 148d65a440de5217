#!/bin/sh
# Builds the sample shop in $SHOP: simulate, import, train, campaigns. A step whose result is there is not done again; one that was
# stopped is (simulating and importing the same again change nothing).
set -eu
bookmatch=.venv/bin/bookmatch
files=$SHOP/sample
# The first training and the first answer on a machine compile; they may do so while the shop is being built.
[ -e "$SHOP/models/current" ] || .venv/bin/python -m recsys.models.warm_up &
learning=$!
[ -e "$SHOP/models/current" ] || .venv/bin/python -m serving.warm_up &
[ -d "$files" ] || $bookmatch simulate "$files"
[ -e "$files/.imported" ] || {
    $bookmatch import "$files/items.parquet" --as items --home "$SHOP"
    $bookmatch import "$files/customers.parquet" --as customers --home "$SHOP"
    $bookmatch import "$files"/events-*.parquet --home "$SHOP"
    touch "$files/.imported"
}
[ -e "$files/.consents" ] || [ ! -e "$files/consents.parquet" ] || {
    $bookmatch email consents "$files/consents.parquet" --home "$SHOP"
    touch "$files/.consents"
}
[ -d "$SHOP/email" ] || cp -r scripts/email "$SHOP/email"
[ -d "$SHOP/campaigns" ] || cp -r scripts/campaigns "$SHOP/campaigns"
wait "$learning"
[ -e "$SHOP/models/current" ] || $bookmatch train --tune-budget 0 --home "$SHOP"
wait
