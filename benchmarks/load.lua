-- Plays the requests of the file named by PLAY, one after another, for ever.
-- Head of the file: one header a line, then an empty line. After that one request a line: verb, path
-- and body, parted by tabs. At the end the measures go to standard output as one line of JSON.

local played, count, at = {}, 0, 0

function init()
  local headers, in_head = {}, true
  for line in io.lines(os.getenv("PLAY")) do
    if in_head then
      local name, value = line:match("^([^:]+): (.*)$")
      if name then headers[name] = value else in_head = false end
    else
      local verb, path, body = line:match("^(%u+)\t([^\t]+)\t(.*)$")
      count = count + 1
      played[count] = wrk.format(verb, path, headers, body ~= "" and body or nil)
    end
  end
end

function request()
  at = at % count + 1
  return played[at]
end

function done(summary, latency)
  local broken = summary.errors
  local line = '\nMEASURES {"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"refused":%d,"broken":%d}\n'
  io.write(line:format(
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    broken.status, broken.connect + broken.read + broken.write + broken.timeout))
end
