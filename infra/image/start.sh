#!/bin/sh
# What a container does: start PART, with the parts below. Signals reach the program itself (exec); --init reaps.
set -eu
part=${1:?which part: code-location, webserver, daemon, ray-head, ray-worker, ray-demand, or exec COMMAND}
shift
case "$part" in
  code-location)
    python /srv/dagster/prepare.py before
    python /srv/dagster/prepare.py after &
    exec dagster api grpc --host 0.0.0.0 --port 4000 \
      --module-name mathcode_assets.definitions --location-name mathcode-assets "$@" ;;
  webserver)
    exec dagster-webserver --host 0.0.0.0 --port 3000 --workspace "$DAGSTER_HOME/workspace.yaml" "$@" ;;
  daemon)
    exec dagster-daemon run --workspace "$DAGSTER_HOME/workspace.yaml" "$@" ;;
  ray-head)
    # No CPU and no GPU of its own: nothing but the jobs' drivers runs here.
    exec ray start --head --block --port 6379 --dashboard-host 0.0.0.0 --dashboard-port 8265 \
      --num-cpus 0 --num-gpus 0 --disable-usage-stats "$@" ;;
  ray-worker)
    exec ray start --block --address "${RAY_HEAD:?address of the head, host:6379}" "$@" ;;
  ray-demand)
    exec python /srv/ray/demand.py "$@" ;;
  exec)
    exec "$@" ;;
  *)
    echo "no part $part" >&2; exit 2 ;;
esac
