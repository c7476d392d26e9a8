#include "model/parts/sizes.h"

#include "model/parts/old_parts.h"

namespace rk {

void settle_common_sizes(ModelSpec& s, const FileShapes& file) {
  const int64_t L = file.count_blocks();
  const auto &emb = file.matrix("emb.weight"), &ffn = file.matrix("blocks.0.ffn.key.weight");
  s.n_layer = settle({"n_layer", s.n_layer, L, cat("blocks.", L - 1, ".*")}, file.path());
  s.vocab_size = settle({"vocab_size", s.vocab_size, emb[0], "emb.weight"}, file.path());
  s.n_embd = settle({"n_embd", s.n_embd, emb[1], "emb.weight"}, file.path());
  s.dim_ffn = settle({"dim_ffn", s.dim_ffn, ffn[0], "blocks.0.ffn.key.weight"}, file.path());
}

void settle_heads(ModelSpec& s, const FileShapes& file, const std::string& tensor) {
  const std::vector<int64_t>& heads = file.matrix(tensor);
  s.head_size = settle({"head_size", s.head_size, heads[1], tensor}, file.path());
  s.dim_att = settle({"dim_att", s.dim_att, heads[0] * heads[1], tensor}, file.path());
  if (s.dim_att != s.n_embd)
    fail(cat(file.path(), ": tensor ", tensor, " ", shape_text(heads), " does not fit the ", s.n_embd, " channels of emb.weight ",
             shape_text(file.matrix("emb.weight"))));
  check_heads(s.n_embd, s.head_size);
}

void complete_common_sizes(ModelSpec& s, const char* arch) {
  complete_size(s.n_layer, 6, "n_layer");
  complete_size(s.n_embd, 512, "n_embd");
  complete_size(s.head_size, 64, "head_size");
  complete_size(s.vocab_size, 0, "vocab_size");
  complete_size(s.dim_att, s.n_embd, "dim_att");
  if (s.vocab_size == 0) fail("a new model needs --vocab_size (65536 for the World tokenizer)");
  check_heads(s.n_embd, s.head_size);
  if (s.dim_att != s.n_embd)
    fail(cat("--dim_att ", s.dim_att, " differs from --n_embd ", s.n_embd, "; ", arch, " has them equal: leave it out"));
}

static void check_v5_sizes(const ModelSpec& s) {
  check_multiple_of_32(s.n_embd, "n_embd");
  check_multiple_of_32(s.dim_ffn, "dim_ffn");
  if (s.head_size_divisor < 1) fail(cat("--head_size_divisor ", s.head_size_divisor, " is not positive; 8 is usual"));
}

void complete_v5_sizes(ModelSpec& s, const char* family) {
  if (s.arch.find('g') != std::string::npos)
    fail(cat("model architecture ", s.arch,
             ": a 'g' in the name asks for upstream's MishGLU channel mix, which this program does not have; "
             "leave the letter out"));
  const bool wide = s.arch.find("-f4") != std::string::npos;
  complete_size(s.dim_ffn, (wide ? 8 : 7) * s.n_embd / 2 / 32 * 32, "dim_ffn");
  complete_size(s.head_size_divisor, 8, "head_size_divisor");
  check_v5_sizes(s);
  OldParts never;
  never.pre_ffn = s.old.pre_ffn;
  refuse_old_parts(never, family);
  check_old_parts(s);
}

void settle_v5_sizes(ModelSpec& s, const FileShapes& file) {
  complete_size(s.head_size_divisor, 8, "head_size_divisor");
  check_v5_sizes(s);
  s.old = old_parts_of(s.old, file, s.n_layer);
  s.time_state = s.time_state || file.has("blocks.0.att.time_state");
}

}  // namespace rk
