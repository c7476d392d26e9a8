// Checkpoint folders: proj_dir/step-NNNNNNNN/ with one HDF5 file a rank and a manifest (docs/formats.md).
//
// A save runs in three acts so that training does not wait for the disk: begin() starts a background thread that writes
// step-N.tmp/shard-RRRRR.h5 and fsyncs it, without any collective, while updates wait for what they would change (ShardWriter); done()
// tells whether this rank's thread has ended; commit() (collective) agrees on success, and rank 0 writes manifest.json, fsyncs, renames
// step-N.tmp to step-N, fsyncs the parent, replaces `latest` by rename and applies keep_last / keep_every. On any failure the .tmp folder
// is removed, the error is returned and earlier checkpoints are untouched.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "comm/comm.h"
#include "device/exec.h"

namespace rk {

inline constexpr const char* kFrozenPart = "weights";  // the one part of what is not trained

inline bool is_checkpoint_dtype(DType t) { return t == DType::f32 || t == DType::f64 || t == DType::bf16 || t == DType::f16; }

// A run of elements of one named tensor: flat elements [offset, offset + data.numel()) of its row-major order.
struct TensorPiece {
  std::string tensor;  // "blocks.0.att.x_r"
  std::string part;    // "master", "m", "v"; of frozen parameters kFrozenPart
  int64_t offset = 0;
  Tensor data;        // flat; in the accumulation dtype, of frozen parameters in the model's
  size_t bucket = 0;  // whose update changes it
};

// Everything of a run's position that is not a tensor. Independent of the rank count.
struct CheckpointState {
  int64_t step = 0;    // optimizer steps done (skipped ones included)
  int64_t adam_t = 0;  // updates applied
  int64_t tokens = 0, samples = 0;
  int64_t epoch_begin = 0;
  double epoch_loss_sum = 0;  // of the unfinished mini-epoch
  int64_t epoch_loss_steps = 0;
  std::string model_dtype;                   // "f32", "bf16", "f16", "f64": dtype of the weights that exports write
  std::string config;                        // RunConfig::text
  std::map<std::string, std::string> extra;  // further named values, kept verbatim
};

// Name and shape of every tensor, in file order.
struct TensorShape {
  std::string name;
  std::vector<int64_t> shape;
  bool trained = true;  // not written into folders: which parts a tensor has says it
};

struct KeepRule {
  int64_t last = 3, every = 0;
};

class ShardWriter;

// What a save took: the slowest rank's seconds of writing and of updates that waited for it, the bytes of all.
struct SaveFigures {
  double seconds = 0, stalled = 0, n_bytes = 0;
};

class CheckpointSaver {
 public:
  // copies: what copies pieces that lie on a GPU.
  CheckpointSaver(std::string proj_dir, std::vector<TensorShape> tensors, KeepRule keep, const Exec& copies = {});
  ~CheckpointSaver();  // waits for the thread, leaves no .tmp of its own behind

  bool busy() const;  // begun and not committed
  void begin(const Comm& comm, const CheckpointState& state, const std::vector<TensorPiece>& pieces);
  bool done() const;    // what this rank does in the background has ended, well or badly
  bool failed() const;  // its writing, badly
  void cancel();        // another rank's has: this one need not go on
  // Collective, when all ranks are done or one has failed; waits for this rank's thread otherwise. True: the save has ended. False: all
  // files are complete, and rank 0 makes a checkpoint of them in the background. kept: steps whose folders stay whatever the rule says
  // (rank 0's).
  bool go_on(Comm& comm, const std::set<int64_t>& kept);
  const std::optional<std::string>& error() const;  // of the save that has ended: the first one's sentence
  // Collective; all of that, waiting. The error, or nothing.
  std::optional<std::string> commit(Comm& comm, const std::set<int64_t>& kept = {});
  const SaveFigures& figures() const;  // of the last commit that went well
  ShardWriter& writer();               // which others may use while nothing is being saved

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads a checkpoint folder written by any number of ranks at any ZeRO stage. Opening checks the manifest, the presence and size of all
// shard files, and that the pieces tile every tensor; reading checks the checksums of the chunks it touches. bad_input on any damage.
class CheckpointReader {
 public:
  explicit CheckpointReader(const std::string& folder);
  ~CheckpointReader();
  const CheckpointState& state() const;
  const std::vector<TensorShape>& tensors() const;
  bool has(const std::string& tensor, const std::string& part) const;
  const std::map<std::string, DType>& parts() const;           // those that the folder holds, with the type they are stored in
  std::vector<std::pair<std::string, int64_t>> files() const;  // names and bytes of the shards
  // Elements [offset, offset + n) of `tensor`'s `part`, as a floating-point type.
  void read(const std::string& tensor, const std::string& part, int64_t offset, int64_t n, DType as, void* destination);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The part that holds the weights of a tensor.
inline const char* weights_part(const CheckpointReader& reader, const std::string& tensor) {
  return reader.has(tensor, kFrozenPart) ? kFrozenPart : "master";
}

// The newest folder step-NNNNNNNN under proj_dir whose manifest is valid and whose files are all there; skipped ones are named in
// `warnings`. Nothing when there is none. before: of the folders of steps below it.
std::optional<std::string> newest_checkpoint(const std::string& proj_dir, std::vector<std::string>& warnings, int64_t before = INT64_MAX);

}  // namespace rk
