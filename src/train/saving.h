// How a run saves itself while it goes on: checkpoints, and the weights of mini-epochs that are made of them.
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "comm/watchdog.h"
#include "shard/shards.h"
#include "train/background_export.h"
#include "train/best_steps.h"
#include "train/checkpoint_writer.h"
#include "train/run_config.h"
#include "train/save_cadence.h"
#include "train/snapshots.h"
#include "train/start.h"

namespace rk {

// All ranks call the same functions at the same steps, but where said.
class Saving {
 public:
  struct Site {
    const RunConfig& config;
    Comm& comm;
    Shards& shards;
    Exec bare;
    std::vector<TensorShape> tensors;
    std::function<void(const std::string&)> say;  // rank 0's is shown
    int node = 0;                                 // of this rank
  };
  // copied_bytes: host memory for a copy of this rank's state, which is taken in the background; 0: the state is written from where it
  // lies.
  Saving(const Site& site, size_t copied_bytes);
  Saving(const Saving&) = delete;
  Saving& operator=(const Saving&) = delete;
  ~Saving();

  // Before the first step of this process, at the position `state`.
  void start(Watchdog& watchdog, const CheckpointState& state, const Start& from);

  // What ranks tell each other once a step.
  double writing() const { return busy() && !saver_.done(); }
  double failed() { return busy() && saver_.writer().failed(); }
  double time_is_up() const { return cadence_.time_is_up(); }
  double snapshot_time_is_up() const { return snapshot_cadence_.time_is_up(); }
  // From the sums of these: whether commit() is due.
  bool commit_due(double writing, double failed) const { return busy() && (writing == 0 || failed > 0); }
  bool due(int64_t step, int64_t tokens) { return cadence_.due(step, tokens); }
  bool snapshot_due(int64_t step, int64_t tokens) { return snapshots_ && snapshot_cadence_.due(step, tokens); }

  // Begins a checkpoint of this moment. weights: a file to be made of it; "": none.
  void begin(CheckpointState state, const std::string& weights = "");
  // Begins a snapshot, unless something is being written or this moment is already saved.
  void snapshot(const CheckpointState& state);
  // Completes what was begun; a failure, which `failed` says another rank has had, is a warning.
  void commit(bool failed = false);
  // Once a step, before anything else of these.
  void go_on();
  // A checkpoint of this moment and everything that was begun are on disk on return, or an error is thrown.
  void complete(const CheckpointState& state);
  // Says what has happened in the background.
  void tell();

  // A validation's loss: whether it is to be saved as one of the best, which `state` then knows.
  bool among_best(CheckpointState& state, double loss);

  // Seconds that training stood still since the last call.
  double take_pause() { return std::exchange(unreported_pause_, 0.0); }

 private:
  bool busy() const { return saver_.busy() || (snapshots_ && snapshots_->writing()); }
  void start_snapshots(const CheckpointState& state, const Start& from);
  std::vector<TensorPiece> pieces();
  std::string folder_of(int64_t step) const;
  void paused(double seconds);
  std::optional<std::string> end_save(bool wait);
  void name_best();
  bool leads() const { return site_.comm.rank() == 0; }

  Site site_;
  CheckpointSaver saver_;
  SaveCadence cadence_, snapshot_cadence_;
  std::optional<Snapshots> snapshots_;
  BestSteps best_;
  BackgroundExport exports_;
  Watchdog* watchdog_ = nullptr;
  std::string weights_;  // of the save in progress
  int64_t last_step_ = -1, named_best_ = -1;
  double pause_ = 0, unreported_pause_ = 0;  // of the save in progress; of all
  size_t copied_bytes_;
  bool ending_ = false;
};

}  // namespace rk
