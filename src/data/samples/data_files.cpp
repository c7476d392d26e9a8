#include "data/samples/data_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "data/files_below.h"
#include "data/samples/settings.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> divided(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

const char* ending_of(const DataOptions& options) {
  if (options.data_type == "binidx") return ".idx";
  if (options.data_type == "numpy") return ".npy";
  if (options.data_type == "uint16") return ".u16";
  return is_lines(options) ? ".jsonl" : ".txt";
}

std::string without_ending(const DataOptions& options, const std::string& path) {
  const bool ended = options.data_type == "binidx" && (path.ends_with(".bin") || path.ends_with(".idx"));
  return ended ? path.substr(0, path.size() - 4) : path;
}

void add_folder(const DataOptions& options, const std::string& folder, const char* option, std::vector<std::string>& paths) {
  const char* ending = ending_of(options);
  std::error_code error;
  std::vector<std::string> found = files_below(folder, {ending}, error);
  if (error) fail(cat("--", option, " ", folder, ": cannot read the folder: ", error.message()));
  if (found.empty())
    fail(cat("--", option, " ", folder, ": the folder holds no files that end in ", ending, " (--data_type ", options.data_type, ")"));
  for (std::string& path : found) path = without_ending(options, path);
  std::sort(found.begin(), found.end());  // by name alone: what ends it would change the order
  paths.insert(paths.end(), found.begin(), found.end());
}

}  // namespace

std::vector<std::string> data_paths(const DataOptions& options, const std::string& value, const char* option) {
  if (options.data_type == "dummy") return {"dummy"};
  if (value.empty()) fail(cat("--", option, " is not given; it names the data"));
  std::vector<std::string> paths;
  const bool one = fs::exists(value) || fs::exists(value + ".idx");  // a name with a comma in it
  for (const std::string& part : one ? std::vector<std::string>{value} : divided(value)) {
    if (part.empty()) fail(cat("--", option, " ", value, ": a name is missing at a comma"));
    if (fs::is_directory(part)) {
      add_folder(options, part, option, paths);
    } else {
      paths.push_back(without_ending(options, part));
    }
  }
  return paths;
}

std::vector<std::string> named_files(const DataOptions& options) {
  std::vector<std::string> files;
  const auto add = [&](const char* option, const std::string& shown, const std::string& file) {
    if (!fs::exists(file))
      fail(cat("--", option, " ", shown, file == shown ? " does not exist" : cat(": the file ", file, " does not exist")));
    files.push_back(file);
  };
  const std::pair<const char*, const std::string&> named[] = {{"data_file", options.data_file},
                                                              {"instruct_data_file", options.instruct_data_file},
                                                              {"my_qa_pile", options.my_qa_pile},
                                                              {"val_file", options.val_file}};
  for (const auto& [option, value] : named) {
    if (value.empty() || options.data_type == "dummy") continue;
    if (options.my_pile_version == 2 && &value == &options.data_file) {  // lists further ones
      add(option, value, value);
      continue;
    }
    for (const std::string& path : data_paths(options, value, option)) {
      if (options.data_type != "binidx") {
        add(option, path, path);
        continue;
      }
      for (const char* ending : {".idx", ".bin"}) add(option, path, path + ending);
    }
  }
  return files;
}

std::vector<double> data_weights(const DataOptions& options, size_t n) {
  std::vector<double> weights;
  if (options.data_weights.empty()) return weights;
  for (const std::string& part : divided(options.data_weights)) {
    double w = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), w);
    if (error != std::errc() || end != part.data() + part.size() || !std::isfinite(w) || w <= 0)
      fail(cat("--data_weights ", options.data_weights, ": '", part, "' is not a number above 0"));
    weights.push_back(w);
  }
  if (weights.size() != n) fail(cat("--data_weights ", options.data_weights, " has ", weights.size(), " numbers for ", n, " files"));
  return weights;
}

}  // namespace rk
