// Parts that only models of old trainers have: what files and options say of them, their parameters, and what they rule out (golden rwkv456
// §8).
#pragma once
#include <string>

#include "model/families.h"
#include "model/parts/file_shapes.h"
#include "model/parts/params.h"

namespace rk {

// Those that a file has. A given one that contradicts the file is refused; masks of a file say ctx_len only where nothing else does.
OldParts old_parts_of(const OldParts& given, const FileShapes& file, int64_t n_layer);
// Refuses parts of a new model that do not fit it.
void check_old_parts(const ModelSpec& spec);
// Refuses any of them, for a family that has none.
void refuse_old_parts(const OldParts& parts, const char* family);

// Why a sample of such a model cannot be cut into segments of time, be several documents, or be made token by token; "" where it can.
std::string why_no_segments(const ModelSpec& spec);
// The only number of tokens that a sample can have; 0 = any.
int64_t only_length(const ModelSpec& spec);
// Tells a model the above, whether blocks share the raw embedding, and the masks that files of it hold.
void set_old_parts(Model& model, const ModelSpec& spec);

// The orthogonal matrices of a trainer: their scale follows from the gain alone, or from the shape, too (model/parts/init_rules.h).
using MatrixInit = InitRule (*)(double gain, int64_t rows, int64_t cols);

struct TinyAttentionParams {
  NormParams ln{};
  Param *q = nullptr, *k = nullptr, *v = nullptr;  // [width,C], [width,C], [C,C]
};
bool has_tiny_attention(const ModelSpec& spec, int64_t layer);
TinyAttentionParams add_tiny_attention(const ParamAdder& block, const ModelSpec& spec, MatrixInit matrix);
// Each adds nothing where the model has no such part. Positions stand in front of all else in block 0, head_q and head_k behind all else.
void add_positions(EmbeddingParams& emb, const ParamAdder& block0, const ModelSpec& spec);
void add_copying(HeadParams& head, const ParamAdder& adder, const ModelSpec& spec, MatrixInit matrix);

}  // namespace rk
