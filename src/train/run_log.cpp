#include "train/run_log.h"

#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

// The wall clock as text: "2026-01-31 12:00:00.123456", or with dashes for a run's title.
std::string now_text(bool title) {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm tm{};
  localtime_r(&seconds, &tm);
  char text[64];
  std::strftime(text, sizeof text, title ? "%Y-%m-%d-%H-%M-%S" : "%Y-%m-%d %H:%M:%S", &tm);
  if (title) return text;
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1000000;
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%06d", static_cast<int>(micros));
  return std::string(text) + fraction;
}

// JSON has no infinities: a non-finite number becomes null.
nlohmann::json number(double x) { return std::isfinite(x) ? nlohmann::json(x) : nlohmann::json(nullptr); }

// Keeps the lines of steps up to `steps`; unreadable lines (cut by a crash) go too.
void cut_metrics(const std::string& path, int64_t steps) {
  std::ifstream in(path);
  if (!in) return;
  const std::string kept_path = path + ".tmp";
  {
    std::ofstream kept(kept_path, std::ios::trunc);
    std::string line;
    while (std::getline(in, line)) {
      const auto object = nlohmann::json::parse(line, nullptr, false);
      if (object.is_object() && object.contains("step") && object["step"].is_number_integer() && object["step"].get<int64_t>() <= steps)
        kept << line << '\n';
    }
    if (!kept.flush()) fail(cat("cannot rewrite ", path, ": the disk may be full"), ExitCode::failure);
  }
  fs::rename(kept_path, path);
}

}  // namespace

RunLog::RunLog(const std::string& proj_dir, const RunConfig& config, int64_t steps_kept) : proj_dir_(proj_dir), wandb_(config.wandb) {
  if (steps_kept > 0) {
    cut_metrics(proj_dir_ + "/metrics.jsonl", steps_kept);
  } else {
    std::ofstream(proj_dir_ + "/metrics.jsonl", std::ios::trunc);
  }
}

void RunLog::append(const std::string& file, const std::string& line) {
  const std::string path = proj_dir_ + "/" + file;
  std::string& waiting = waiting_[file];
  waiting += line + '\n';
  std::error_code error;
  const uintmax_t before = fs::file_size(path, error);
  std::ofstream out(path, std::ios::app);
  out << waiting;
  if (out.flush()) {
    waiting.clear();
    return;
  }
  out.close();
  fs::resize_file(path, error ? 0 : before, error);  // half a line would spoil the next one, too
  if (warned_) return;
  warned_ = true;
  log_warning(cat("cannot write ", path, " (is the disk full?); training goes on, and what is missing follows when there is room"));
}

void RunLog::start(const RunConfig& config, const std::string& strategy) {
  append("train_log.txt", "NEW RUN " + now_text(true));
  nlohmann::json options;
  std::istringstream lines(config.text);
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    auto value = line.substr(equals + 3);
    value = value.substr(0, value.rfind("  #"));
    options[line.substr(0, equals)] = value;
  }
  append("train_log.txt", options.dump());
  append("train_log.txt", strategy);
}

void RunLog::step(const StepReport& r, const Validation::Result* validated) {
  nlohmann::ordered_json line{
      {"step", r.step},         {"loss", number(r.loss)}, {"lr", r.lr},         {"grad_norm", number(r.grad_norm)},
      {"clip", number(r.clip)}, {"skipped", r.skipped},   {"tokens", r.tokens}, {"tokens_per_s", number(r.tokens_per_s)},
      {"seconds", r.seconds},   {"data_s", r.data_s},     {"epoch", r.epoch}};
  if (!r.hash.empty()) line["hash"] = r.hash;
  if (validated) {
    line["val_loss"] = number(validated->loss);
    line["val_ppl"] = number(std::exp(validated->loss));
    line["val_tokens"] = validated->tokens;
  }
  append("metrics.jsonl", line.dump());
  if (wandb_.empty()) return;
  const nlohmann::ordered_json event{{"project", wandb_},
                                     {"step", r.step},
                                     {"loss", number(r.loss)},
                                     {"lr", r.lr},
                                     {"wd", r.weight_decay},
                                     {"Gtokens", static_cast<double>(r.tokens) / 1e9},
                                     {"kt/s", number(r.tokens_per_s / 1000)}};
  append("wandb-events.jsonl", event.dump());
}

void RunLog::mini_epoch(int64_t name, double mean_loss, double lr, int64_t since_launch) {
  char text[160];
  std::snprintf(text, sizeof text, "%lld %.6f %.4f %.8f %s %lld", static_cast<long long>(name), mean_loss, std::exp(mean_loss), lr,
                now_text(false).c_str(), static_cast<long long>(since_launch));
  append("train_log.txt", text);
}

}  // namespace rk
