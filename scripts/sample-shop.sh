#!/bin/sh
# Builds the sample shop in $SHOP: simulate, import, train. Each step runs once; a step that was stopped runs again.
set -eu
bookmatch=.venv/bin/bookmatch
files=$SHOP/sample
[ -e "$files/.done" ] || { rm -rf "$files"; $bookmatch simulate "$files"; touch "$files/.done"; }
[ -e "$files/.imported" ] || {
    $bookmatch import "$files/items.parquet" --as items --home "$SHOP"
    $bookmatch import "$files/customers.parquet" --as customers --home "$SHOP"
    $bookmatch import "$files"/events-*.parquet --home "$SHOP"
    touch "$files/.imported"
}
[ -e "$SHOP/models/current" ] || $bookmatch train --home "$SHOP"
