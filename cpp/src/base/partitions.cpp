#include "labelquorum/partitions.hpp"

#include <string>

#include "read_once.hpp"

namespace labelquorum {

void check_ids(const Partitions& partitions, std::size_t begin, std::size_t end) {
    for (std::size_t j = 0; j < partitions.n_partitions(); ++j) {
        visit(partitions.columns[j], [&](auto values) {
            for (std::size_t row = begin; row < end; ++row) {
                if (is_valid_id(values[row])) continue;
                throw ClusterIdError(
                    "partitions must hold cluster ids of at most " +
                    std::to_string(max_cluster_id) + ", got " + std::to_string(values[row]) +
                    " in row " + std::to_string(row) + ", partition " + std::to_string(j) + ".");
            }
        });
    }
}

void refuse_ids(const Partitions& partitions, std::size_t begin, std::size_t end) {
    check_ids(partitions, begin, end);
    throw_changed("partitions");
}

}  // namespace labelquorum
