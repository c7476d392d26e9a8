#include "data/files_below.h"

#include <algorithm>
#include <filesystem>

namespace rk {

std::vector<std::string> files_below(const std::string& folder, std::initializer_list<std::string_view> endings, std::error_code& error) {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const std::string path = entry->path().string();
    const bool wanted = std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) { return path.ends_with(ending); });
    if (wanted && entry->is_regular_file()) found.push_back(path);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace rk
