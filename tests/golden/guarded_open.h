// Opening a hostile file in a process of its own, so that a crash is an outcome and not the end of the run.
#pragma once
#include <string>

namespace rk::golden {

struct Opened {
  std::string outcome;  // "ok", "error", or what went wrong: "crash", "too slow", "too much memory", "code was run"
  std::string message;  // of an error
};

// Opens `path` with the product's reader and reads all tensors, within 2 s and 256 MiB. "code was run": the file `forbidden`
// appeared in the working directory.
Opened guarded_open(const std::string& path, const std::string& forbidden);

}  // namespace rk::golden
