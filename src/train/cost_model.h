// The seconds of a training step before it is made: its operators on one queue, its exchanges on others, as Shards orders them.
#pragma once
#include "train/machine_rates.h"
#include "train/step_record.h"

namespace rk {

// Seconds of one step of a run that goes on: the next step's first units wait for what this step's end sends.
struct StepCost {
  double seconds = 0;
  double products = 0, wkv = 0, element_wise = 0, optimizer = 0;  // of the computation; optimizer: on the GPU
  double slowdown = 0;                                            // computation beside collectives
  double exposed_weights = 0, exposed_gradients = 0;              // waits for collectives
  double exposed_offload = 0;                                     // waits for the host and for copies to and from it
  double communication = 0;                                       // seconds of all collectives, hidden ones included
};

StepCost operator+(const StepCost& a, const StepCost& b);
StepCost operator*(double factor, const StepCost& cost);
inline StepCost operator-(const StepCost& a, const StepCost& b) { return a + -1 * b; }

// place: ranks and nodes of the run. machine: its links tell how many ranks a node has only where place has one node.
StepCost predict_step(const StepRecord& record, const RunPlan& run, const RunPlace& place, const MachineRates& machine);

}  // namespace rk
