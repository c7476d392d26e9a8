// Sizes of RWKV-7 models, from files and for new ones.
#include <algorithm>
#include <cmath>

#include "model/parts/old_parts.h"
#include "model/parts/sizes.h"
#include "model/rwkv7/family.h"

namespace rk::rwkv7 {
namespace {

constexpr const char* kHeads = "blocks.0.att.r_k";  // [H,N]; no other family has it

// The low-rank width for C channels: 32 * round(factor * sqrt(C) / 32), halves to even, at least 32.
int64_t low_rank_width(double factor, int64_t C) {
  const double exact = factor * std::sqrt(static_cast<double>(C)) / 32;
  return std::max<int64_t>(32, 32 * static_cast<int64_t>(std::nearbyint(exact)));
}

void set_default_widths(ModelSpec& s) {
  const auto complete = [&](int64_t& width, double factor) {
    if (width == 0) width = low_rank_width(factor, s.n_embd);
  };
  complete(s.decay_lora, 2.5);
  complete(s.aaa_lora, 2.5);
  complete(s.mv_lora, 1.7);
  complete(s.gate_lora, 5);
}

bool has_layer0_v(const FileShapes& file, const std::string& path) {
  int n = 0;
  for (const char* part : {"v0", "v1", "v2"}) n += file.has(cat("blocks.0.att.", part));
  if (n != 0 && n != 3) fail(cat(path, ": has some of blocks.0.att.v0, v1, v2 but not all three; keep all or remove all"));
  return n == 3;
}

}  // namespace

bool matches(const std::vector<TensorInfo>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const TensorInfo& t) { return t.name == kHeads; });
}

ModelSpec spec_from_file(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path) {
  const FileShapes file(tensors, path, "RWKV-7");
  ModelSpec s = given;
  s.arch = "x070";
  settle_common_sizes(s, file);
  settle_heads(s, file, kHeads);
  const int64_t L = s.n_layer;
  for (int64_t l = 0; l < L; ++l) file.matrix(cat("blocks.", l, ".att.r_k"));
  const auto width = [&](const char* flag, int64_t given_width, const std::string& tensor) {
    return settle({flag, given_width, file.matrix(tensor)[1], tensor}, path);
  };
  s.decay_lora = width("decay_lora", given.decay_lora, "blocks.0.att.w1");
  s.aaa_lora = width("aaa_lora", given.aaa_lora, "blocks.0.att.a1");
  s.gate_lora = width("gate_lora", given.gate_lora, "blocks.0.att.g1");
  s.layer0_v = has_layer0_v(file, path);
  if (L > 1 || s.layer0_v) s.mv_lora = width("mv_lora", given.mv_lora, L > 1 ? "blocks.1.att.v1" : "blocks.0.att.v1");
  set_default_widths(s);
  s.time_state = s.time_state || file.has("blocks.0.att.time_state");
  return s;
}

ModelSpec spec_for_new(const ModelSpec& given) {
  ModelSpec s = given;
  s.arch = "x070";
  complete_common_sizes(s, "x070");
  complete_size(s.dim_ffn, 4 * s.n_embd, "dim_ffn");
  for (int64_t* width : {&s.decay_lora, &s.aaa_lora, &s.mv_lora, &s.gate_lora}) complete_size(*width, 0, "low-rank width");
  refuse_old_parts(s.old, "RWKV-7");
  if (s.dim_ffn != 4 * s.n_embd)
    fail(cat("--dim_ffn ", s.dim_ffn, " differs from 4 x n_embd = ", 4 * s.n_embd, "; x070 always uses that: leave it out"));
  set_default_widths(s);
  return s;
}

}  // namespace rk::rwkv7
