#include "device/host_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

namespace rk {
namespace {

constexpr size_t kNoLimit = size_t{1} << 62;  // v1 writes almost 2^63 where there is none

// The number behind `name` in a file of lines "name number ..."; an empty name: the number that the file begins with.
std::optional<size_t> number_in(const std::string& file, const std::string& name = "") {
  std::ifstream in(file);
  size_t n = 0;
  if (name.empty()) return in >> n ? std::optional(n) : std::nullopt;  // "max" is none, too
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string word;
    if (words >> word >> n && word == name) return n;
  }
  return std::nullopt;
}

// Names of what a control group's folder holds.
struct Names {
  const char *limit, *used, *inactive_files, *active_files;
};
constexpr Names kV1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"};
constexpr Names kV2{"memory.max", "memory.current", "inactive_file", "active_file"};

void apply(const std::string& folder, const Names& names, HostMemory& memory) {
  const std::optional<size_t> limit = number_in(folder + "/" + names.limit);
  if (!limit || *limit >= kNoLimit) return;
  memory.limit = memory.limit ? std::min(memory.limit, *limit) : *limit;
  size_t used = number_in(folder + "/" + names.used).value_or(0);
  // Pages of files go when memory is needed.
  for (const char* files : {names.inactive_files, names.active_files})
    used -= std::min(used, number_in(folder + "/memory.stat", files).value_or(0));
  memory.available = std::min(memory.available, *limit - std::min(*limit, used));
}

// A group and all above it, up to the root.
void apply_upward(const std::string& root, std::string path, const Names& names, HostMemory& memory) {
  while (!path.empty() && path != "/") {
    apply(root + path, names, memory);
    path.resize(path.rfind('/'));
  }
  apply(root, names, memory);
}

bool lists_memory(const std::string& controllers) { return ("," + controllers + ",").find(",memory,") != std::string::npos; }

}  // namespace

HostMemory host_memory(const std::string& proc, const std::string& control_groups) {
  HostMemory memory;
  memory.total = number_in(proc + "/meminfo", "MemTotal:").value_or(0) << 10;
  memory.available = number_in(proc + "/meminfo", "MemAvailable:").value_or(0) << 10;
  // Lines "number:controllers:path"; v2 names no controllers. In a container the path may be that outside, where only the root is to be
  // seen.
  std::ifstream groups(proc + "/self/cgroup");
  std::string number, controllers, path;
  while (std::getline(groups, number, ':') && std::getline(groups, controllers, ':') && std::getline(groups, path)) {
    if (path.empty() || path[0] != '/') continue;
    if (controllers.empty()) {
      for (const char* mount : {"", "/unified"}) apply_upward(control_groups + mount, path, kV2, memory);
    } else if (lists_memory(controllers)) {
      apply_upward(control_groups + "/memory", path, kV1, memory);
    }
  }
  return memory;
}

}  // namespace rk
