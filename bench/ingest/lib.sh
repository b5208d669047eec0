# What the measurements in bench/ingest have in common, to be sourced from the repository's root.
# shellcheck shell=bash

dir='' run='' kafka='' ticks=$(getconf CLK_TCK)
declare -A pid=() topic=() address=() admin=() records=() # by target; records: in the topic at the last look

die() {
  echo "bench/ingest: $*" >&2
  exit 1
}

# need TOOL...
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || die "$tool is not installed"
  done
}

# numbers REPEATS SECONDS
numbers() { [[ $1 =~ ^[1-9][0-9]*$ && $2 =~ ^[1-9][0-9]*$ ]]; }

# stop PID ends one process that was started here: asked first, killed after five seconds.
stop() {
  kill "$1" 2>/dev/null || return 0
  for ((i = 0; i < 50; i++)); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

clean_up() {
  local t
  trap '' INT TERM # a second Ctrl-C would leave topics and processes
  for t in "${!pid[@]}"; do stop "${pid[$t]}"; done
  if [ -n "${BOOTSTRAP:-}" ] && [ ${#topic[@]} -gt 0 ]; then
    timeout 20 "$dir/ordersctl" topic delete "${topic[@]}" --yes >/dev/null 2>&1 ||
      echo "bench/ingest: these topics may be left: ${topic[*]}" >&2
  fi
  if [ -n "$kafka" ]; then stop "$kafka"; fi
  rm -rf "$dir"
}

# prepare PACKAGE...: builds ordersctl and these programs of ours into $dir, starts Kafka where BOOTSTRAP names none, and
# sees to it that at the exit everything ends that was started and is deleted that was made.
prepare() {
  local p
  need go curl java
  dir=$(mktemp -d)
  run=$(date +%s)-$$ # in topics and ids: another run on the same broker is not in the way
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  for p in ./cmd/ordersctl "$@"; do go build -o "$dir/$(basename "$p")" "$p"; done
  if [ -z "${BOOTSTRAP:-}" ]; then
    go build -o "$dir/kafka" ./e2e/kafka/cmd/kafka
    "$dir/kafka" >"$dir/bootstrap" 2>"$dir/kafka.log" &
    kafka=$!
    until [ -s "$dir/bootstrap" ]; do
      kill -0 "$kafka" 2>/dev/null || { cat "$dir/kafka.log" >&2; exit 1; }
      sleep 0.2
    done
    BOOTSTRAP=$(head -1 "$dir/bootstrap")
  fi
  export ORDERSCTL_KAFKA_BROKERS=$BOOTSTRAP
}

# make_topic TARGET [FLAG...]: it has PARTITIONS partitions.
make_topic() {
  local t=$1 name=bench-ingest-$1-$run
  "$dir/ordersctl" topic create "$name" -p "${PARTITIONS:-3}" "${@:2}" >"$dir/create" 2>&1 || { cat "$dir/create" >&2; exit 1; }
  topic[$t]=$name records[$t]=0
}

# launch TARGET ADDRESS COMMAND...: a server that is up when this returns.
launch() {
  local t=$1
  address[$t]=$2
  ORDERSCTL_SERVE_DRAIN_DELAY=0s "${@:3}" >"$dir/$t.log" 2>&1 &
  pid[$t]=$!
  # It dies when its port is taken, so whoever answers there is it.
  for ((i = 0; i < 100; i++)); do
    kill -0 "${pid[$t]}" 2>/dev/null || break
    ! curl -s -o "$dir/discard" "http://$2/" || return 0
    sleep 0.1
  done
  cat "$dir/$t.log" >&2
  die "$t did not start"
}

# cpu PID: user and system time in clock ticks. The name in (), before them, may hold spaces.
cpu() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

rss() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }

# end_offsets TOPIC: their sum, which is all records that were ever written.
end_offsets() {
  "$dir/ordersctl" topic describe "$1" -o json |
    sed -n 's/.*"end_offset": *\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'
}

# settled TARGET: its records once there have been no new ones for 0.5 s; nobody waits for the acknowledgement of all.
settled() {
  local before=-1 now
  for ((i = 0; i < 40; i++)); do
    now=$(end_offsets "${topic[$1]}")
    [ "$now" != "$before" ] || break
    before=$now
    sleep 0.5
  done
  echo "$now"
}

# check TARGET WHAT ACCEPTED SPARE: is every 202 a record, and is no record there twice? So many as SPARE may be more.
check() {
  local t=$1 total new
  total=$(settled "$t")
  new=$((total - records[$t]))
  records[$t]=$total
  if [ "$new" -lt "$3" ]; then
    complain "$t, $2: $3 orders were accepted, but there are $new new records: $(($3 - new)) are missing"
  elif [ "$new" -gt $(($3 + $4)) ]; then
    complain "$t, $2: $3 orders were accepted, but there are $new new records: $((new - $3)) too many"
  fi
}

# metric TARGET NAME LABEL: the sum over all series of the name with that label
metric() {
  curl -s "http://${admin[$1]}/metrics" |
    awk -v name="^$2[{]" -v label="$3" '$0 ~ name && index($0, label) { n += $NF } END { printf "%d", n }'
}

complain() { echo "$*" | tee -a "$dir/complaints" >&2; }

# column FILE N: the values, sorted
column() { cut -d' ' -f"$2" "$1" | sort -g; }
median() { column "$1" "$2" | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

# spread FILE N FORMAT: the least and the largest value
spread() { column "$1" "$2" | awk -v f="$3-$3" 'NR == 1 { least = $1 } { most = $1 } END { printf f, least, most }'; }

# ratio FILE N OTHER: of the medians; - without the other file
ratio() {
  if [ ! -e "$3" ]; then echo -; return; fi
  awk -v a="$(median "$1" "$2")" -v b="$(median "$3" "$2")" 'BEGIN { if (b > 0) printf "%.2f\n", a / b; else print "-" }'
}

# total FILE N
total() { column "$1" "$2" | awk '{ n += $1 } END { print n }'; }

# ms FILE N: the median of microseconds in milliseconds
ms() { awk -v us="$(median "$1" "$2")" 'BEGIN { printf "%.2f", us / 1000 }'; }

# verdict ends with the exit code.
verdict() {
  echo
  if [ -s "$dir/complaints" ]; then
    echo 'The figures do not count, for what was measured is not right:'
    cat "$dir/complaints"
    exit 1
  fi
  echo 'Each topic holds all that was answered 202 and nothing twice.'
}
