#include "train/bad_steps.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "io/convert.h"

namespace rk {
namespace {

constexpr int64_t kNamedOffsets = 6;          // in a line
constexpr int64_t kChunk = int64_t{1} << 20;  // elements on their way through the host

nlohmann::json number(double x) { return std::isfinite(x) ? nlohmann::json(x) : nlohmann::json(std::to_string(x)); }

// The first element of x that is not finite; -1: all are.
int64_t first_bad_element(const Exec& ex, const Tensor& x, std::vector<double>& values, Buffer& staged) {
  for (int64_t at = 0; at < x.numel(); at += kChunk) {
    const Tensor part = x.slice(at, std::min(kChunk, x.numel() - at));
    const void* from = part.data;
    if (x.device == Device::cuda) {
      copy(ex, part, staged.tensor(x.dtype, part.shape));
      from = staged.data();
    }
    convert_elements(x.dtype, from, DType::f64, values.data(), part.numel());
    for (int64_t i = 0; i < part.numel(); ++i)
      if (!std::isfinite(values[static_cast<size_t>(i)])) return at + i;
  }
  return -1;
}

// Where something is not finite: place of the parameter in the table and element.
struct Place {
  int64_t param = std::numeric_limits<int64_t>::max(), element = 0;
};

// The lowest place of all ranks.
Place lowest(Place mine, Comm& comm) {
  std::vector<int64_t> all(2 * static_cast<size_t>(comm.size()));
  int64_t own[] = {mine.param, mine.element};
  comm.host().all_gather({own, {2}, DType::i64, Device::cpu}, {all.data(), {2 * int64_t{comm.size()}}, DType::i64, Device::cpu}).wait();
  for (size_t r = 0; r < all.size(); r += 2)
    if (std::pair(all[r], all[r + 1]) < std::pair(mine.param, mine.element)) mine = {all[r], all[r + 1]};
  return mine;
}

}  // namespace

void BadSteps::note(const StepReport& step, bool scaled) {
  if (!step.skipped) return steps_.clear();
  if (scaled && step.applied_scale > 1) return;
  steps_.push_back(step);
  steps_.back().offsets = nullptr;  // what it shows does not live as long
}

bool BadSteps::write_report(const std::string& path, const BatchSource& source, int64_t ctx_len, const std::string& culprit) const {
  nlohmann::ordered_json report{{"bad_steps", n()}, {"first_not_finite", culprit}};
  for (const StepReport& s : steps_)
    report["steps"].push_back({{"step", s.step},
                               {"loss", number(s.loss)},
                               {"grad_norm", number(s.grad_norm)},
                               {"lr", s.lr},
                               {"first_sample", s.first_sample},
                               {"samples", s.samples},
                               {"token_offsets", token_offsets(s, source, ctx_len, s.samples)}});
  std::ofstream out(path, std::ios::trunc);
  out << report.dump(1) << '\n';
  return static_cast<bool>(out.flush());
}

std::vector<int64_t> token_offsets(const StepReport& step, const BatchSource& source, int64_t ctx_len, int64_t most) {
  const auto T = static_cast<size_t>(ctx_len);
  std::vector<int32_t> tokens(T), targets(T);
  std::vector<float> weights(T);
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < std::min(step.samples, most); ++i)
    offsets.push_back(source.sample(step.first_sample + i, {.tokens = tokens, .targets = targets, .weights = weights, .resets = {}}));
  return offsets;
}

std::string samples_text(const StepReport& step, const BatchSource& source, int64_t ctx_len) {
  std::string text = cat("samples ", step.first_sample, "-", step.first_sample + step.samples - 1, " (token offsets");
  const char* comma = " ";
  for (const int64_t offset : token_offsets(step, source, ctx_len, kNamedOffsets)) {
    text += cat(comma, offset);
    comma = ", ";
  }
  return text + (step.samples > kNamedOffsets ? ", ...)" : ")");
}

std::string first_not_finite(const Exec& ex, Model& model, Shards& shards, Comm& comm) {
  std::unordered_map<const Param*, int64_t> place;
  for (const Param& p : model.params.all()) place.emplace(&p, static_cast<int64_t>(place.size()));
  std::vector<double> values(static_cast<size_t>(kChunk));
  Buffer staged(Device::cpu, static_cast<size_t>(kChunk) * sizeof(double));
  Place first;
  const auto look = [&](const Param& p, int64_t begin, const Tensor& x) {
    if (place.at(&p) > first.param || !x) return;
    const int64_t bad = first_bad_element(ex, x, values, staged);
    if (bad >= 0 && std::pair(place.at(&p), begin + bad) < std::pair(first.param, first.element)) first = {place.at(&p), begin + bad};
  };
  const auto found = [&](const char* what) -> std::string {
    first = lowest(first, comm);
    if (first.param == Place{}.param) return {};
    return cat(what, " of ", model.params.all()[static_cast<size_t>(first.param)].name, ", element ", first.element);
  };
  for (const OwnedPiece& p : shards.owned_pieces()) look(*p.param, p.first, p.values);
  if (const std::string weights = found("weights"); !weights.empty()) return weights;
  shards.for_each_owned_grad([&](const Param& p, int64_t begin, const Tensor& g) { look(p, begin, g); });
  return found("gradient");
}

}  // namespace rk
