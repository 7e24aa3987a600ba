// Compares queries with the points of near cells.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cells.hpp"

namespace labelquorum {

// How far a search goes.
struct Effort {
    std::size_t n_cells;      // visited by a query at most, its own included
    double reach;             // farther ones are not: see Visit
    std::size_t n_shortlist;  // points kept
};

struct Found {
    float distance;       // squared, by coordinates
    std::uint32_t place;  // of the point
    bool operator<(const Found& other) const {
        return distance != other.distance ? distance < other.distance : place < other.place;
    }
};

// The nearest of what it is given.
class Shortlist {
public:
    void reset(std::size_t n) {
        n_ = n;
        found_.clear();
        limit_ = std::numeric_limits<float>::infinity();
    }
    float limit() const { return limit_; }
    void add(const Found& found) {
        if (!(found.distance <= limit_)) return;
        found_.push_back(found);
        if (found_.size() >= 2 * n_ + 32) trim();
    }
    // Of the k-th nearest so far.
    float distance(std::size_t k) {
        if (found_.size() < k) return std::numeric_limits<float>::infinity();
        const auto kth = found_.begin() + static_cast<std::ptrdiff_t>(k - 1);
        std::nth_element(found_.begin(), kth, found_.end());
        return kth->distance;
    }
    // Sorted.
    std::span<const Found> found() {
        if (found_.size() > n_) trim();
        std::sort(found_.begin(), found_.end());
        return found_;
    }

private:
    void trim() {
        const auto last = found_.begin() + static_cast<std::ptrdiff_t>(n_ - 1);
        std::nth_element(found_.begin(), last, found_.end());
        limit_ = last->distance;
        found_.resize(n_);
    }

    std::size_t n_ = 0;
    float limit_ = std::numeric_limits<float>::infinity();
    std::vector<Found> found_;
};

// A cell not far from that of a task, and the square of the distance of their centers.
struct NearCell {
    double squares;
    std::uint32_t cell;
    bool operator<(const NearCell& other) const {
        return squares != other.squares ? squares < other.squares : cell < other.cell;
    }
};

// How much farther the center of a near cell lies from a query than that of its own: the difference
// of the squared distances.
struct Visit {
    float gap;
    std::uint32_t near;  // number of the near cell
    bool operator<(const Visit& other) const {
        return gap != other.gap ? gap < other.gap : near < other.near;
    }
};

// Queries of one cell, by place.
struct Task {
    std::uint32_t cell;
    std::size_t begin;
    std::size_t end;
};

// One per worker.
class CellSearch {
public:
    // same: the queries are the points.
    CellSearch(const RowsOfCells& queries, bool same, std::size_t k, const Cells& cells)
        : queries_(queries),
          same_(same),
          k_(k),
          cells_(cells),
          multiply_(cells.panels().tile(), cells.n_columns()),
          multiply_precisely_(precise_dot_tile(), cells.n_columns()),
          packed_(precise_dot_tile()) {}

    // Fills the shortlists of a task's queries.
    void run(const Task& task, const Effort& effort);

    // Compares with the own cell only, and finds all others by their gap.
    void look_around(const Task& task);

    // Of a query of the task, counted from 0.
    Shortlist& shortlist(std::size_t query) { return shortlists_[query]; }
    // Squared distance of the k-th nearest in a query's own cell.
    float radius(std::size_t query) const { return radii_[query]; }
    std::vector<Visit>& visits(std::size_t query) { return visits_[query]; }
    std::uint32_t cell(const Visit& visit) const { return near_[visit.near].cell; }

    // Of a query with too few in its own cell: the sorted visits that make up for it.
    std::size_t n_needed(const std::vector<Visit>& visits, std::size_t n_cells) const;

private:
    void begin(const Task& task, std::size_t n_shortlist);
    // The visitors of a cell with its points.
    struct Visitor {
        std::uint32_t query;
        float gap;
    };
    void visit(std::uint32_t cell, const std::vector<Visitor>& visitors);
    // The cells whose gap is at most `reach` times a query's radius.
    void choose(double reach);

    const RowsOfCells& queries_;
    bool same_;
    std::size_t k_;
    const Cells& cells_;
    Multiplier multiply_;
    Multiplier multiply_precisely_;
    Task task_{};
    std::size_t n_ = 0;
    std::vector<double> rows_;  // less the center of their cell
    std::vector<double> squares_;
    Lines queries_of_task_;  // the same in panels
    std::vector<float> shift_;
    std::vector<Visitor> everyone_;
    std::vector<float> biases_;
    std::vector<float> radii_;
    std::vector<float> limits_;
    std::vector<float> no_numbers_;
    std::vector<Shortlist> shortlists_;
    std::vector<std::vector<Visit>> visits_;
    std::vector<NearCell> near_;                  // nearest first
    std::vector<std::vector<Visitor>> visitors_;  // of each
    std::vector<float> gaps_;
    PackedRows packed_;
};

}  // namespace labelquorum
