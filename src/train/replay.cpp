#include "train/replay.h"

#include <cmath>
#include <fstream>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "train/checkpoint_folders.h"

namespace rk {
namespace {

// With all its digits.
std::string digits(double x) {
  std::ostringstream out;
  out << std::setprecision(17) << x;
  return out.str();
}

std::optional<double> number(const nlohmann::json& line, const char* key) {
  const auto it = line.find(key);
  if (it == line.end() || !it->is_number()) return {};
  return it->get<double>();
}

}  // namespace

std::vector<std::string> words_of_options(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const size_t equals = line.find(" = "), comment = line.rfind("  # ");
    if (equals == std::string::npos || comment == std::string::npos || comment < equals + 3) continue;
    std::string value = line.substr(equals + 3, comment - equals - 3);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (!value.empty()) words.push_back(cat("--", line.substr(0, equals), "=", value));
  }
  return words;
}

ReplayStart find_replay_start(const std::string& proj_dir, int64_t step) {
  std::string why;
  for (const StepFolder& f : step_folders(proj_dir)) {
    if (f.step >= step) continue;
    try {
      const CheckpointReader reader(f.path);
      return {f.path, f.step, static_cast<int64_t>(reader.files().size()), words_of_options(reader.state().config)};
    } catch (const Error& e) {
      why = cat(" that can be read (", e.what(), ")");
    }
  }
  fail(cat(proj_dir, " holds no checkpoint of a moment before step ", step, why,
           "; --keep_last, --keep_every and --save_every say which ones a run leaves"));
}

RecordedSteps::RecordedSteps(const std::string& proj_dir, int64_t first, int64_t last) {
  const std::string path = proj_dir + "/metrics.jsonl";
  std::ifstream in(path);
  if (!in) fail(cat(path, " cannot be read; it says what the steps of the run were"));
  for (std::string text; std::getline(in, text);) {
    const auto line = nlohmann::json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer()) continue;
    const auto step = line["step"].get<int64_t>();
    if (step <= first || step > last) continue;
    const auto hash = line.find("hash");
    steps_[step] = {number(line, "loss"), number(line, "grad_norm"),
                    hash != line.end() && hash->is_string() ? hash->get<std::string>() : ""};
  }
  for (int64_t step = first + 1; step <= last; ++step)
    if (!steps_.contains(step)) fail(cat(path, " does not tell of step ", step, "; give a --step that the run has made"));
  for (const StepFolder& f : step_folders(proj_dir)) {
    const auto recorded = steps_.find(f.step);
    if (recorded == steps_.end() || !recorded->second.hash.empty()) continue;
    const CheckpointReader reader(f.path);
    if (const auto hash = reader.state().extra.find("state_hash"); hash != reader.state().extra.end()) recorded->second.hash = hash->second;
  }
}

std::string RecordedSteps::judged(const char* what, double now, std::optional<double> then) {
  const bool equal = then ? now == *then : !std::isfinite(now);
  all_equal_ &= equal;
  return cat(what, " ", digits(now), equal ? " equal" : cat(" DIFFERENT (was ", then ? digits(*then) : "not finite", ")"));
}

std::string RecordedSteps::compare(const StepReport& r) {
  const Recorded& was = steps_.at(r.step);
  std::string line =
      cat("step ", r.step, ": ", judged("loss", r.loss, was.loss), ", ", judged("norm", r.grad_norm, was.grad_norm), ", hash ", r.hash);
  if (was.hash.empty()) return line + " not recorded";
  ++n_hashes_;
  all_equal_ &= was.hash == r.hash;
  return line + (was.hash == r.hash ? " equal" : cat(" DIFFERENT (was ", was.hash, ")"));
}

}  // namespace rk
