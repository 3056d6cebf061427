#!/bin/sh
# What Ray Serve starts as HAProxy (RAY_SERVE_HAPROXY_BINARY_PATH): it changes what Ray 2.60 wrote into the configuration
# and has no options for, and becomes HAProxy (XPFEH_HAPROXY), since Ray looks for the process that it started.
set -eu
config=$(printf '%s\n' "$@" | sed -n '/^-f$/{n;p;q;}')
folder=$(dirname "$config")
busy=$folder/503.http

# In the temporary folder another user may have made this one first, and could change what HAProxy reads.
mine=$(dirname "$folder")
if [ -L "$mine" ] || [ ! -O "$mine" ]; then
    echo "$mine: belongs to another user, or is a link; remove it, or set RAY_SERVE_ENABLE_HA_PROXY=0" >&2
    exit 1
fi
chmod 700 "$mine"

# The answer for a replica that is gone: a refusal like all others (xpfeh.serving.problems), instead of Ray's 500.
body='{"error":{"status":503,"message":"no replica can answer now; try again"}}'
{
    printf 'HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n' "${#body}"
    printf 'Retry-After: 1\r\nConnection: close\r\n\r\n%s' "$body"
} >"$busy"

# - Statistics and metrics are open to every machine: Ray itself reads them from the socket.
# - The socket is open to every user of this machine.
# - A client may take an hour for the head of a request.
# - A request is sent again to another replica after one that died. A job must not be submitted or cancelled twice.
sed -i \
    -e '/^frontend prometheus/,/^ *no log/d' \
    -e '/^listen stats/,$d' \
    -e 's/ mode 666 / mode 600 /' \
    -e "s|^ *errorfile \(50.\) .*|    errorfile \1 $busy|" \
    -e 's/^ *timeout client .*/&\n    timeout http-request 20s/' \
    -e 's|^ *http-reuse always|&\n    http-request disable-l7-retry if { path_sub /v1/jobs } !METH_GET|' \
    "$config"

# Until Ray has registered the endpoint, HAProxy would answer 404.
grep -q '^ *use_backend' "$config" ||
    sed -i "s|^ *http-request return status 404 .*|    http-request return status 503 errorfile $busy|" "$config"

# It stops with Serve's actor, even if that is killed; otherwise it would keep the port and refuse every request.
if command -v setpriv >/dev/null; then
    exec setpriv --pdeathsig KILL "$XPFEH_HAPROXY" "$@"
fi
exec "$XPFEH_HAPROXY" "$@"
