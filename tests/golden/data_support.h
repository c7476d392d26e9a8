// What the handlers of data cases share.
#pragma once
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "golden/golden.h"

namespace rk::golden {

// A folder under the system's temporary folder that goes away with its owner.
class ScratchFolder {
 public:
  ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string base64_decode(std::string_view text);
std::string sha256_hex(std::string_view bytes);
std::string read_whole(const std::string& path);
std::vector<nlohmann::json> read_rows(const std::string& path);  // one JSON value a line

// Fails for every key of `object` that is neither known nor prose ("what", "files", "source", ...).
void refuse_unknown(const nlohmann::json& object, const std::set<std::string>& known, const std::string& where, Check& check);

// The file of a case whose description says that it is an input: the only one with this ending in "files".
std::string input_file(const Case& c, const std::string& ending);

// Compares PREFIX.bin and PREFIX.idx with the two files of a run, their hashes, and the decoded index in the run's "idx".
void compare_pair(const Case& c, const nlohmann::json& run, const std::string& prefix, Check& check);
void compare_index(const nlohmann::json& idx, const std::string& prefix, const std::string& what, Check& check);

}  // namespace rk::golden
