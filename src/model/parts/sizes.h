// Sizes of models from files and for new ones, as far as families share them.
#pragma once
#include "model/families.h"
#include "model/parts/file_shapes.h"

namespace rk {

// n_layer, vocab_size, n_embd and dim_ffn of a file; s holds what was given.
void settle_common_sizes(ModelSpec& s, const FileShapes& file);
// head_size and dim_att from a tensor [H,N], which must fit n_embd.
void settle_heads(ModelSpec& s, const FileShapes& file, const std::string& tensor);
// n_layer, n_embd, head_size, vocab_size and dim_att of a new model; a dim_att that is not n_embd is refused.
void complete_common_sizes(ModelSpec& s, const char* arch);

// What the trainer of RWKV-5 and 6 has beside: dim_ffn of 3.5 n_embd, or 4 with "-f4" in the architecture's name; the divisor of the
// operator's output; old parts without pre_ffn.
void complete_v5_sizes(ModelSpec& s, const char* family);
void settle_v5_sizes(ModelSpec& s, const FileShapes& file);

}  // namespace rk
