// manifest.json of a checkpoint folder: everything of the run's position, and which file holds which elements.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "train/checkpoint.h"

namespace rk {

constexpr int64_t checkpoint_chunk_bytes = int64_t{4} << 20;  // one checksum each

// Elements [offset, offset + n) of a tensor's part.
struct ManifestPiece {
  int64_t tensor = 0;  // index into Manifest::tensors
  std::string part;
  int64_t offset = 0, n = 0;
};

struct ManifestFile {
  std::string name;
  int64_t n_bytes = 0;
  std::string checksum;               // of its checksums
  std::vector<ManifestPiece> pieces;  // their checksums follow each other in this order
};

struct Manifest {
  CheckpointState state;
  std::vector<TensorShape> tensors;
  std::map<std::string, DType> parts;  // f32 or f64
  std::vector<ManifestFile> files;
};

std::string to_text(const Manifest& m);
// `path` names the file in errors, all of which are bad_input.
Manifest manifest_from_text(const std::string& text, const std::string& path);

// One file's entry alone, as ranks send it to rank 0.
std::string to_text(const ManifestFile& f, const std::map<std::string, DType>& parts);
ManifestFile file_from_text(const std::string& text, std::map<std::string, DType>& parts);

// Where the pieces of each (tensor, part) lie, in order of offset; fails unless they tile every tensor that they touch.
struct PiecePlace {
  size_t file = 0, piece = 0;
};
using PieceMap = std::map<std::pair<int64_t, std::string>, std::vector<PiecePlace>>;
PieceMap place_pieces(const Manifest& m, const std::string& path);

int64_t numel(const TensorShape& t);
// "master/blocks.0.att.x_r@4096"
std::string dataset_of(const Manifest& m, const ManifestPiece& p);
std::string hash_of(const std::vector<int64_t>& checksums);
int64_t chunks_of(const ManifestPiece& p, DType dtype);

}  // namespace rk
