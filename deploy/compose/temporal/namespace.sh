#!/bin/sh
# Make the namespace and its search attributes. Safe to run again.
set -eu

tries=60
until temporal operator cluster health; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "Temporal at $TEMPORAL_ADDRESS does not become healthy" >&2; exit 1; }
    sleep 1
done

temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 7d

have=$(temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE")
for attribute in ProverySystem=Keyword ProveryStream=Keyword ProveryUnit=Keyword ProveryStage=Keyword \
    ProveryProver=Keyword ProveryOrdinal=Int; do
    name=${attribute%%=*}
    case $have in
        *"$name"*) ;;
        *) temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$name" --type "${attribute#*=}" ;;
    esac
done
