-- For wrk: every request is an order of its own. RUN makes the ids unique among runs, the thread's number among threads.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init()
  prefix = string.format('{"id":"%s-%d-', os.getenv("RUN"), number)
  head = "POST /order HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
    "\r\nContent-Type: application/json\r\nContent-Length: "
  count = 0
end

-- wrk.format() does the same at several times the cost, which the servers on the same cores would pay for.
function request()
  count = count + 1
  local body = string.format('%s%08d","user_id":"user-%06d","total":%d.%02d,"status":"pending","timestamp":"2024-10-01T12:34:56.%03dZ"}',
    prefix, count, count % 10007, count % 997, count % 100, count % 1000)
  return head .. #body .. "\r\n\r\n" .. body
end

-- requests, of them with a status over 399, socket errors and time-outs, microseconds, p50 and p99 in microseconds
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, e.status,
    e.connect + e.read + e.write + e.timeout, summary.duration, latency:percentile(50), latency:percentile(99)))
end
