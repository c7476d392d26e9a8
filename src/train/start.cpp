#include "train/start.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "io/tensor_file.h"
#include "train/checkpoint.h"
#include "train/dialects.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

// A weights file that a mini-epoch or the first start left in proj_dir.
struct WeightsFile {
  int64_t number;  // -1 for rwkv-init.pth
  std::string path;
};

// "rwkv-12.pth" -> 12, "rwkv-init.pth" -> -1; rwkv-final.pth and others: nothing.
std::optional<int64_t> number_of(const std::string& file) {
  if (!file.starts_with("rwkv") || !file.ends_with(".pth")) return {};
  const auto dash = file.find('-');
  if (dash == std::string::npos) return {};
  const std::string part = file.substr(dash + 1, file.find('.', dash) - dash - 1);
  if (part == "init") return -1;
  int64_t n = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), n);
  if (error != std::errc{} || end != part.data() + part.size() || n < 0) return {};
  return n;
}

// Newest first.
std::vector<WeightsFile> weights_files(const std::string& proj_dir) {
  std::vector<WeightsFile> files;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(proj_dir, missing))
    if (const auto n = number_of(entry.path().filename().string())) files.push_back({*n, entry.path().string()});
  std::sort(files.begin(), files.end(), [](const WeightsFile& a, const WeightsFile& b) { return a.number > b.number; });
  return files;
}

// The newest file or folder that a run left behind; rwkv-init.pth alone counts as nothing.
std::optional<std::string> newest_of_a_run(const std::string& proj_dir) {
  std::optional<fs::directory_entry> newest;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(proj_dir, missing)) {
    const std::string name = entry.path().filename().string();
    const bool of_a_run = (name.starts_with("step-") && entry.is_directory()) || name == "train_log.txt" || name == "metrics.jsonl" ||
                          (name.starts_with("rwkv") && name.ends_with(".pth") && name != "rwkv-init.pth");
    if (of_a_run && (!newest || entry.last_write_time() > newest->last_write_time())) newest = entry;
  }
  if (!newest) return {};
  return newest->path().filename().string();
}

bool can_be_read(const std::string& path, std::string& why) {
  try {
    open_tensor_file(path);
    return true;
  } catch (const Error& e) {
    why = e.what();
    return false;
  }
}

// The reference's restart: the newest readable of the two newest weights files; Adam begins anew.
Start from_weights_of(const RunConfig& config, const std::vector<WeightsFile>& files) {
  Start start;
  start.kind = Start::Kind::weights;
  start.warmup_steps = config.warmup_steps;
  std::string why;
  for (size_t i = 0; i < std::min<size_t>(files.size(), 2); ++i) {
    if (!can_be_read(files[i].path, why)) {
      start.remarks.push_back(cat("warning: ", why, "; trying the file before it"));
      continue;
    }
    start.path = files[i].path;
    start.epoch_begin = files[i].number + 1;
    if (files[i].number < 0) return start;
    if (start.warmup_steps < 0) start.warmup_steps = config.train_stage == 3 && dialect_named(config.dialect).pile_stages ? 30 : 10;
    start.remarks.push_back(cat("weights-only restart from ", start.path,
                                ": no checkpoint folder is there, so Adam's moments begin at zero and ", start.warmup_steps,
                                " warm-up steps are made"));
    return start;
  }
  fail(why);
}

Start from_checkpoint(const RunConfig& config, const std::string& folder) {
  Start start;
  start.kind = Start::Kind::checkpoint;
  start.path = folder;
  start.warmup_steps = config.warmup_steps;
  return start;
}

Start from_path(const RunConfig& config, const std::string& path) {
  if (!fs::exists(path))
    fail(cat("--resume ", path, ": there is no such file or folder; give a step-NNNNNNNN folder, a .pth file, auto or none"));
  if (fs::is_directory(path)) return from_checkpoint(config, path);
  const auto n = number_of(fs::path(path).filename().string());
  return from_weights_of(config, {{n.value_or(config.epoch_begin - 1), path}});
}

Start automatic(const RunConfig& config) {
  std::vector<std::string> warnings;
  if (const auto folder = newest_checkpoint(config.proj_dir, warnings)) {
    Start start = from_checkpoint(config, *folder);
    for (const auto& w : warnings) start.remarks.push_back("warning: " + w);
    return start;
  }
  if (const auto files = weights_files(config.proj_dir); !files.empty()) {
    Start start = from_weights_of(config, files);
    for (const auto& warning : warnings) start.remarks.insert(start.remarks.begin(), "warning: " + warning);
    return start;
  }
  if (!warnings.empty())
    fail(cat(config.proj_dir, " holds no checkpoint that can be read: ", warnings.front(),
             "; repair it, or name a file with --resume PATH"));
  Start start;
  start.warmup_steps = config.warmup_steps;
  start.epoch_begin = config.epoch_begin;
  const bool names_a_model = !config.load_model.empty() && config.load_model != "0";
  if (names_a_model) {
    start.kind = Start::Kind::weights;
    start.path = config.load_model;
  } else if (config.train_stage >= 2) {
    fail(cat("--train_stage ", config.train_stage, " continues what --proj_dir holds, but ", config.proj_dir,
             " has no rwkv-*.pth and no step folder; run --train_stage 1 first, or leave --train_stage out to start from fresh weights"));
  }
  return start;
}

}  // namespace

Start decide_start(const RunConfig& config) {
  const std::string resume = !config.resume.empty() ? config.resume : config.train_stage >= 2 ? "auto" : "";
  if (resume == "auto") {
    Start start = automatic(config);
    start.automatic = true;
    return start;
  }
  if (!resume.empty() && resume != "none") return from_path(config, resume);
  if (const auto newest = newest_of_a_run(config.proj_dir); newest)
    fail(cat("--proj_dir ", config.proj_dir, " already holds a run (newest: ", *newest,
             "); continue it with --resume auto, or choose another folder"));
  Start start;
  start.warmup_steps = config.warmup_steps;
  start.epoch_begin = config.epoch_begin;
  if (!config.load_model.empty() && config.load_model != "0") {
    start.kind = Start::Kind::weights;
    start.path = config.load_model;
  }
  return start;
}

}  // namespace rk
