#!/bin/sh
# What Ray Serve starts as HAProxy (RAY_SERVE_HAPROXY_BINARY_PATH): it changes what Ray 2.60 wrote into the configuration
# and has no options for, and becomes HAProxy (XPFEH_HAPROXY), since Ray looks for the process that it started.
set -eu
config=$(printf '%s\n' "$@" | sed -n '/^-f$/{n;p;q;}')
busy=$(dirname "$config")/503.http

# In the place of a replica that is gone: a refusal like all others (xpfeh.serving.problems), where Ray says 500.
body='{"error":{"status":503,"message":"no replica can answer now; try again"}}'
{
    printf 'HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n' "${#body}"
    printf 'Retry-After: 1\r\nConnection: close\r\n\r\n%s' "$body"
} >"$busy"

# - Statistics and metrics are open to every machine: Ray itself reads them from the socket.
# - The socket is open to every user of this machine.
# - A client may take an hour for the head of a request.
sed -i \
    -e '/^frontend prometheus/,/^ *no log/d' \
    -e '/^listen stats/,$d' \
    -e 's/ mode 666 / mode 600 /' \
    -e "s|^ *errorfile \(50.\) .*|    errorfile \1 $busy|" \
    -e 's/^ *timeout client .*/&\n    timeout http-request 20s/' \
    "$config"

# Until it has heard of the endpoint it would answer 404.
grep -q '^ *use_backend' "$config" ||
    sed -i "s|^ *http-request return status 404 .*|    http-request return status 503 errorfile $busy|" "$config"

# It ends with Serve's actor, which may be killed; otherwise it would keep the port and refuse everyone.
if command -v setpriv >/dev/null; then
    exec setpriv --pdeathsig KILL "$XPFEH_HAPROXY" "$@"
fi
exec "$XPFEH_HAPROXY" "$@"
