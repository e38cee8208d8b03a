-- Every range is a part, also while a backlog is worked off. Ten at a time are merged, not three or four: each row is written again
-- less often. Nobody asks the columns' statistics (analytics switches them off), and a merge that makes none is cheaper.
ALTER TABLE {database}.requests {on_cluster}
    MODIFY SETTING min_parts_to_merge_at_once = 10, auto_statistics_types = ''
