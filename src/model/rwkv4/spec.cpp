// Sizes of RWKV-4 models, from files and for new ones.
#include <algorithm>

#include "model/parts/old_parts.h"
#include "model/parts/sizes.h"
#include "model/rwkv4/family.h"

namespace rk::rwkv4 {
namespace {

bool has(const std::vector<TensorInfo>& tensors, std::string_view part) {
  return std::any_of(tensors.begin(), tensors.end(), [&](const TensorInfo& t) { return t.name.find(part) != std::string::npos; });
}

// The rows of a matrix that exists in every block that has a time mix.
int64_t width_of_attention(const ModelSpec& s, const ModelSpec& given, const FileShapes& file, const std::string& path) {
  const int64_t l = s.old.pre_ffn ? 1 : 0;
  if (l >= s.n_layer) return given.dim_att > 0 ? given.dim_att : s.n_embd;
  const std::string name = cat("blocks.", l, ".att.key.weight");
  return settle({"dim_att", given.dim_att, file.matrix(name)[0], name}, path);
}

}  // namespace

bool matches(const std::vector<TensorInfo>& tensors) {
  const bool newer = has(tensors, "time_maa") || has(tensors, ".att.ln_x.") || has(tensors, ".att.r_k") || has(tensors, ".att.x_r");
  return !newer && (has(tensors, ".att.time_first") || has(tensors, ".ffnPre.time_mix_k"));
}

ModelSpec spec_from_file(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path) {
  const FileShapes file(tensors, path, "RWKV-4");
  ModelSpec s = given;
  s.arch = "x040";
  settle_common_sizes(s, file);
  s.old = old_parts_of(given.old, file, s.n_layer);
  s.dim_att = width_of_attention(s, given, file, path);
  s.head_size = 0;
  for (int64_t l = s.old.pre_ffn ? 1 : 0; l < s.n_layer; ++l) file.matrix(cat("blocks.", l, ".att.key.weight"));
  return s;
}

ModelSpec spec_for_new(const ModelSpec& given) {
  ModelSpec s = given;
  s.arch = "x040";
  s.head_size = 0;
  complete_size(s.n_layer, 6, "n_layer");
  complete_size(s.n_embd, 512, "n_embd");
  complete_size(s.vocab_size, 0, "vocab_size");
  complete_size(s.dim_att, s.n_embd, "dim_att");
  complete_size(s.dim_ffn, 4 * s.n_embd, "dim_ffn");
  if (s.vocab_size == 0) fail("a new model needs --vocab_size (65536 for the World tokenizer, 50277 for GPT-NeoX's)");
  check_multiple_of_32(s.n_embd, "n_embd");
  check_multiple_of_32(s.dim_att, "dim_att");
  check_multiple_of_32(s.dim_ffn, "dim_ffn");
  check_old_parts(s);
  if (s.emb_init == 0) s.emb_init = 6e-4;  // the learning rate that its trainer begins with
  return s;
}

}  // namespace rk::rwkv4
