#include "base/error.h"
#include "launch/rendezvous/meeting.h"

namespace rk {

Message Introduction::message() const {
  return {Message::Kind::join, {cat(node_rank), cat(nnodes), cat(nproc_per_node), cat(n_cores), version, mpi_version, host, network}};
}

Introduction Introduction::from(const Message& join) {
  Introduction who;
  who.node_rank = join.number(0);
  who.nnodes = join.number(1);
  who.nproc_per_node = join.number(2);
  who.n_cores = join.number(3);
  who.version = join.word(4);
  who.mpi_version = join.word(5);
  who.host = join.word(6);
  who.network = join.word(7);
  return who;
}

std::string Node::text() const { return cat("node ", who.node_rank, " (", who.host, ", ", address, ")"); }

}  // namespace rk
