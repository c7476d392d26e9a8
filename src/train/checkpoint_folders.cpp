#include "train/checkpoint_folders.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "io/disk.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

constexpr const char* prefix = "step-";

// -1: not the name of a checkpoint.
int64_t step_of(const std::string& name) {
  const std::string digits = name.starts_with(prefix) ? name.substr(5) : "";
  const bool ok =
      digits.size() >= 8 && digits.size() < 19 && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  return ok ? std::atoll(digits.c_str()) : -1;
}

// Renamed first, so that a removal that is cut off leaves no half checkpoint under a good name.
void remove_folder(const std::string& path) {
  const std::string doomed = path + ".old";
  std::error_code ignored;
  fs::rename(path, doomed, ignored);
  fs::remove_all(doomed, ignored);
}

}  // namespace

std::string step_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return name;
}

std::string shard_name(int rank) {
  char name[32];
  std::snprintf(name, sizeof name, "shard-%05d.h5", rank);
  return name;
}

std::vector<StepFolder> step_folders(const std::string& proj_dir) {
  std::vector<StepFolder> folders;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(proj_dir, none)) {
    const int64_t step = step_of(entry.path().filename().string());
    if (step >= 0 && entry.is_directory(none)) folders.push_back({step, entry.path().string()});
  }
  std::sort(folders.begin(), folders.end(), [](const StepFolder& a, const StepFolder& b) { return a.step > b.step; });
  return folders;
}

void install_folder(const std::string& proj_dir, const std::string& temporary, int64_t step) {
  const std::string final_path = proj_dir + "/" + step_name(step);
  sync_folder_of(temporary + "/manifest.json");
  if (fs::exists(final_path)) {
    // In one act where the file system can; the other folder then has the temporary name and is removed.
    if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, final_path.c_str(), RENAME_EXCHANGE) == 0) {
      sync_folder_of(final_path);
      std::error_code ignored;
      fs::remove_all(temporary, ignored);
    } else {
      remove_folder(final_path);
      rename_file(temporary, final_path);
    }
  } else {
    rename_file(temporary, final_path);
  }
  name_folder(proj_dir, "latest", step);
}

void name_folder(const std::string& proj_dir, const std::string& name, int64_t step) {
  NewFile file(proj_dir + "/" + name);
  const std::string line = step_name(step) + "\n";
  file.write(line.data(), line.size());
  file.finish();
}

void apply_keep_rule(const std::string& proj_dir, int64_t step, KeepRule rule, const std::set<int64_t>& kept) {
  int64_t n_kept = 0;
  for (const StepFolder& f : step_folders(proj_dir)) {
    if (f.step > step) continue;
    const bool for_good = rule.every > 0 && f.step % rule.every == 0;
    if (f.step == step || n_kept < rule.last) {
      ++n_kept;
    } else if (!for_good && kept.count(f.step) == 0) {
      remove_folder(f.path);
    }
  }
  std::error_code none;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(proj_dir, none)) {
    const std::string name = entry.path().filename().string();
    const bool left = name.ends_with(".tmp") || name.ends_with(".old");
    if (left && step_of(name.substr(0, name.size() - 4)) >= 0) leftovers.push_back(entry.path());
  }
  for (const fs::path& p : leftovers) fs::remove_all(p, none);
}

std::optional<std::string> newest_checkpoint(const std::string& proj_dir, std::vector<std::string>& warnings, int64_t before) {
  for (const StepFolder& f : step_folders(proj_dir)) {
    if (f.step >= before) continue;
    try {
      CheckpointReader reader(f.path);
      return f.path;
    } catch (const Error& e) {
      warnings.push_back(cat("checkpoint ", f.path, " is skipped: ", e.what()));
    }
  }
  return std::nullopt;
}

}  // namespace rk
